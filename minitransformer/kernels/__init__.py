"""The operations made fast, under the same names and signatures; a backend is imported when it is first chosen."""

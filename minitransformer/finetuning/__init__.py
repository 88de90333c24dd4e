"""A published model goes on learning, from labelled data of one's own (Devlin et al. 2019, section 3.2)."""

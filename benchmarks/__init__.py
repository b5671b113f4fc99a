"""How fast jaxrec is beside its peers, and how it scales. See README.md."""

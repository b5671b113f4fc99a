"""What `import jaxrec` offers: histories in, a recommender out, with the ids of your own data."""

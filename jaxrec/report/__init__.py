"""What a person sees and keeps: progress, tables, metric files, curves."""

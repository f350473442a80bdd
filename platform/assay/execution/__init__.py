"""Plans of experiments, and their execution in this process or a worker."""

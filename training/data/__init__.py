"""What is trained on: the manifest, what each set annotates, samples and balanced drawing."""

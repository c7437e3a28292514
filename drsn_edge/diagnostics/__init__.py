"""What a gateway is fit for: this machine in, findings and costs out."""

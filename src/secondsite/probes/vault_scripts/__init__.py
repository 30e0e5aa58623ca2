"""What a cold restart's drill runs as root on hosts: each script is sent when it is needed, and laid nowhere."""

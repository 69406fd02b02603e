"""What knows nothing of archives: addresses, words for people, the script that was started."""

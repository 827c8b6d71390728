"""What can be told by its form: card numbers, IBANs, addresses, numbers of persons, secrets."""

"""What tables of rows have in common: filters and menus that live in the address, and pages by keyset."""

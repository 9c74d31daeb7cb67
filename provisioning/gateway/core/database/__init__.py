"""The database: engines, transactions, encryption, migrations, backup."""

"""The blockchain: a slot-based block source that runs real contract calls, with mempool, fees and receipts."""

"""Histories larger than memory: made into arrays on disk once, then mapped into memory.

`prepare` goes `stage -> views -> numbering -> partitions -> pairs -> orientation`; `opened` reads
what it has written, and `splitting` cuts it. Each stage writes files under another name and renames
them, then says in the journal that it is done, so that a stopped one goes on from there.
"""

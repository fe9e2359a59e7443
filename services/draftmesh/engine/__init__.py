"""The one batch engine that drafters and verifiers share.

One step packs the new tokens of many sequences into a single forward of any transformers model that passes the
capability gate: schedule, run, judge, commit. Import from the modules: ``config``, ``loading``, ``engine``,
``engine_thread``, ``sequence``, ``judging``, ``stats``. Bookkeeping (``block_pool``, ``paging``, ``scheduler``,
``sequence``, ``stats``) imports no torch.
"""

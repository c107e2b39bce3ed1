"""Recognition over HTTP: a page and a REST endpoint in one server, one network behind them.

The network lives in a process of its own (`worker`), which a bad video may kill or hang; `jobs`
replaces it and lets no more requests in than the limits allow.
"""

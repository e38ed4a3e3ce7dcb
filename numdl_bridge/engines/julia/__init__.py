"""The julia engine: a worker process that runs juliacall, and never torch.

- `settings` : which Julia, each option with where it came from;
- `readiness`: whether it is ready, without starting it.
- `worker`   : the process: started when first asked, restarted after a crash.
- `frames`   : the messages that cross, arrays as raw bytes.
- `engine`   : `JuliaEngine`, which answers studies through the worker.

Importing this package imports neither juliacall nor Julia.
"""

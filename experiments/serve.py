"""Serves a network: a page that takes a video and shows what is in it, and a REST endpoint.

    python -m experiments.serve --model=RUN
    curl -F video=@FILE http://127.0.0.1:7860/api/predict

--model is the folder of a run or of an export, a .keras file, or ucf101-13, a network that ships.
Exports are not explained, but for heads. Prints where it listens, and serves until SIGTERM or
Ctrl-C. Needs the extra packages of pip install 'stfnet[serve]'. Whoever reaches the address may use
it: docs/guide/elsewhere.md says what to put before it.
"""

from absl import flags

from experiments import program
from preprocessing import flow
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, program.MODEL)
flags.DEFINE_string("host", "127.0.0.1", "Address to listen at; 0.0.0.0 for every network.")
flags.DEFINE_integer("port", 7860, "Port to listen at; 0: any that is free.", 0, 65535)
flags.DEFINE_integer("max_megabytes", 100, "Largest file, in millions of bytes.", lower_bound=1)
flags.DEFINE_float("max_seconds", 60.0, "Longest video, in seconds.", lower_bound=0.1)
flags.DEFINE_integer(
    "queue", 8, "Requests at once: uploading, waiting or computed. More get 503.", lower_bound=1
)
flags.DEFINE_float(
    "time_limit", 120.0, "Seconds for an upload, and again for its computation.", lower_bound=0.1
)
flags.DEFINE_integer(
    "grace", 10, "Seconds that unfinished requests have left after SIGTERM.", lower_bound=0
)
flags.DEFINE_enum("flow_quality", None, list(flow.QUALITIES), "As experiments.predict.")
flags.mark_flags_as_required(["model"])


def main(_):
    try:
        from stfnet.serving import server
        from stfnet.serving.jobs import Limits
    except ModuleNotFoundError as error:
        raise UserError(
            f"the package {error.name} is missing: pip install 'stfnet[serve]'"
        ) from error
    program.use_a_backend()
    limits = Limits(FLAGS.max_megabytes, FLAGS.max_seconds, FLAGS.queue, FLAGS.time_limit)
    server.serve(FLAGS.model, FLAGS.host, FLAGS.port, limits, FLAGS.flow_quality, FLAGS.grace)
    return 0


cli = program.entry(main)

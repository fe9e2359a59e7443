"""``draftmesh bench``: one subcommand for each question that a benchmark answers, imported when it is called."""

from __future__ import annotations

from cyclopts import App

app = App(name="bench", help="Measure draftmesh, on the packaged models or your own.")
app.command("draftmesh.cli.bench.pair:pair", help="Every method on one pair: acceptance, bytes per forward, tokens/s.")
app.command("draftmesh.cli.bench.peers:peers", help="Beside transformers' own plain and assisted generation.")
app.command("draftmesh.cli.bench.rows:rows", help="What verifying costs by its number of rows, packed and unpacked.")
app.command(
    "draftmesh.cli.bench.network:network", help="What delay between coordinator and peers does to the speed-up."
)
app.command("draftmesh.cli.bench.guard:guard", help="Whether drafting that does not pay costs anything.")
app.command("draftmesh.cli.bench.serve:serve", help="A verifier under rising load, with drafting and without.")
app.command("draftmesh.cli.bench.overhead:overhead", help="What a verification round costs beside the forwards.")

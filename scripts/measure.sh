#!/usr/bin/env bash
# The figures of the README and docs/log.md, one after the other, on an idle machine.
#   scripts/measure.sh default | shuffled | expert-iteration | composed | clean | attention | curves | methods | selfplay | leak | memory
# Run folders go to runs/, tables to standard output. Needs `cargo build --release`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
axiom=${AXIOM:-target/release/axiom}
seeds=${SEEDS:-0 1 2}

# Runs a recipe for every seed and prints wall seconds and the scores by tier.
runs() {
    local recipe=$1
    shift
    for seed in $seeds; do
        local out=runs/$recipe-seed-$seed
        rm -rf "$out"
        "$axiom" run "$recipe" --seed "$seed" --out "$out" --json "$@" >"runs/$recipe-$seed.json"
        python3 - "runs/$recipe-$seed.json" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))
e = s["eval"]
show = lambda x: f'{x["passed"]}/{x["n"]} [{x["low"]:.2f}, {x["high"]:.2f}]'
rows = [(t, e["tiers"]["before"][t], e["tiers"]["after"][t]) for t in e["tiers"]["after"]]
rows += [(f, e["before"][f], e["after"][f]) for f in e["after"] if f == "edit_distance"]
print(sys.argv[1], f'{s["wall_seconds"]["total"]:.0f} s', s["wall_seconds"])
for name, before, after in rows:
    print(f"  {name:14} {show(before):>22} -> {show(after)}")
PY
    done
}

# Composed programs by depth: sampled (8 of each task, with pass@8) and greedy.
depths() {
    local label=$1 model=$2
    for difficulty in 3 6 9; do
        for how in "--samples 8 --temperature 1" ""; do
            # shellcheck disable=SC2086
            "$axiom" eval --model "$model" --families composed --difficulty $difficulty \
                --tasks 80 $how --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
c = s["families"]["composed"]
depth = {3: 2, 6: 3, 9: 4}[s["difficulty"]]
how = "sampled" if s["temperature"] else "greedy"
at8 = s["pass_at_k"].get("pass@8")
tail = f"  pass@8 {at8:.3f}" if at8 else ""
passed, n, low, high = c["passed"], c["n"], c["low"], c["high"]
print(f"  {sys.argv[1]:24} depth {depth} {how:7} {passed / n:.3f} [{low:.2f}, {high:.2f}]{tail}")
' "$label"
        done
    done
}

mkdir -p runs
case ${1:-} in
default | shuffled | expert-iteration) runs "$1" ;;
composed)
    depths embedded embedded
    runs composed
    for seed in $seeds; do depths "composed seed $seed" "runs/composed-seed-$seed/model"; done
    ;;
clean)
    [[ -d runs/clean-base ]] || "$axiom" pretrain --out runs/clean-base --set clean=true
    depths "clean base" runs/clean-base
    for seed in $seeds; do
        rm -rf "runs/clean-seed-$seed"
        "$axiom" run composed --seed "$seed" --out "runs/clean-seed-$seed" --json \
            --set model.path=runs/clean-base --set "learn.lr=${LR:-2e-4}" >/dev/null
        depths "clean seed $seed" "runs/clean-seed-$seed/model"
    done
    ;;
attention)
    for examples in true none other; do
        for difficulty in 3 6; do
            "$axiom" eval --model "${MODEL:-runs/composed-seed-0/model}" --families composed \
                --difficulty $difficulty --tasks 80 --samples 8 --temperature 1 \
                --examples $examples --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
c = s["families"]["composed"]
print(f"""  examples: {s["examples"]:6} difficulty {s["difficulty"]}  {c["passed"] / c["n"]:.3f}""")
'
        done
    done
    ;;
# GRPO and expert iteration at equal wall time, side by side on one core each. PYTHON has matplotlib.
curves)
    both=(--budget seconds=220 --seeds 1 --threads 1 --out runs/curves)
    "$axiom" compare default,eval.every=20 "${both[@]}" &
    "$axiom" compare expert-iteration,eval.every=5 "${both[@]}"
    wait
    "$axiom" compare default,eval.every=20 expert-iteration,eval.every=5 "${both[@]}"
    "${PYTHON:-python3}" scripts/plot_curves.py runs/curves/default-*-seed-0 runs/curves/expert-*-seed-0 \
        --label "GRPO (default)" --label "expert iteration" \
        --metric solve_rate --metric eval:hard --metric eval:basic --out docs/curves.png
    ;;
# Every method on the default tasks at equal numbers of verifications, and a control with dealt
# rewards for each kind of method. One more seed at a time: what is there is not run again.
methods)
    arms=(default expert-iteration star ppo dpo m-grpo m-grpo-unlabelled)
    arms+=(dpo,method=ipo expert-iteration,method=rest_em)
    for method in reinforce rloo grpo dr_grpo gspo cispo reinforce_pp reinforce_pp_baseline \
        trr_pp trr_pp_code lite_ppo scale_rl sapo clip_cov kl_cov; do
        arms+=("default,method=$method")
    done
    arms+=(shuffled ppo,reward.shuffle=true dpo,reward.shuffle=true)
    arms+=(expert-iteration,reward.shuffle=true)
    for n in 1 2 3; do
        "$axiom" compare "${arms[@]}" --budget verifications=8000 --seeds "$n" --out runs/methods
    done
    ;;
# Self-play and its controls, at equal numbers of generated tokens.
selfplay)
    arms=(selfplay selfplay,selfplay.propose=false selfplay,selfplay.train_proposer=false)
    arms+=(selfplay,reward.shuffle=true)
    "$axiom" compare "${arms[@]}" --set steps=100000 --budget "tokens=${TOKENS:-2500000}" \
        --out runs/selfplay
    ;;
# 500 steps of self-play: memory, descriptors, processes, buffers and seconds a step, every 50 steps.
leak)
    rm -rf runs/leak
    "$axiom" run selfplay --set steps=500 --out runs/leak --json ${THREADS:+--threads "$THREADS"} \
        >runs/leak.json &
    python3 - $! <<'PY'
import glob, json, os, sys, time
events, pid = "runs/leak/events.jsonl", sys.argv[1]
parent_of = lambda stat: stat.rsplit(")", 1)[1].split()[1]
def below(pid):
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            children.setdefault(parent_of(open(path).read()), []).append(path.split("/")[2])
        except OSError:
            pass
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found
def resident(pid):
    try:
        return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0
def new_steps():
    """Those since the last call; a line that is not whole yet is left for the next."""
    global read
    with open(events) as file:
        file.seek(read)
        while (line := file.readline()).endswith("\n"):
            read = file.tell()
            if line.startswith('{"type":"step"'):
                yield json.loads(line)
print("  step     MiB  of which axiom  files  processes  s/step  puzzles kept (deduction, abduction, induction)")
shown, read, done = 0, 0, []
while os.path.exists(f"/proc/{pid}/fd"):
    done += new_steps() if os.path.exists(events) else []
    if len(done) >= shown + 50 or (not shown and len(done) == 5):
        family, window = below(pid), done[shown:]
        shown = len(done)
        kept = [round(done[-1]["metrics"][f"buffer/{k}"]) for k in ("deduction", "abduction", "induction")]
        seconds = sum(e["timing"]["wall_s"] for e in window) / len(window)
        print(f"  {shown:4} {sum(map(resident, family)):7.1f} {resident(pid):15.1f} "
              f"{len(os.listdir(f'/proc/{pid}/fd')):6} {len(family):10} {seconds:7.2f}  {kept}", flush=True)
    time.sleep(1)
PY
    wait $!
    ;;
# What `axiom plan` says a run takes, and what it took at its peak. CHECKPOINT is a directory that
# scripts/random_checkpoint.py wrote, or any other of that size.
memory)
    said_and_taken() {
        local name=$1 threads=$2 settings=() said
        shift 2
        for setting in "$@"; do settings+=(--set "$setting"); done
        rm -rf "runs/memory-$name"
        said=$("$axiom" plan default --threads "$threads" "${settings[@]}" --json)
        "$axiom" run default --threads "$threads" "${settings[@]}" --out "runs/memory-$name" --json \
            >/dev/null
        python3 - "$name" "$said" "runs/memory-$name/summary.json" <<'PY'
import json, sys
said = json.loads(sys.argv[2])["total"] / 2**20
took = json.load(open(sys.argv[3]))["memory_peak_bytes"] / 2**20
print(f"  {sys.argv[1]:22} said {said:7.0f} MiB  took {took:7.0f} MiB  ratio {said / took:.2f}")
PY
    }
    said_and_taken embedded 2 steps=3
    said_and_taken one-thread 1 steps=3
    said_and_taken adapter 2 steps=3 model.adapter.r=16
    said_and_taken recompute 2 steps=3 learn.gradient_checkpointing=true
    said_and_taken reference 2 steps=3 method=grpo
    large=(steps=3 "model.path=${CHECKPOINT:?a directory}" model.adapter.r=16 tasks.families=fibonacci)
    large+=(learn.gradient_checkpointing=true tasks.per_step=1 tasks.group_size=8)
    large+=(sampling.completion_tokens_max=96 eval.tasks_per_family=1 learn.replay_per_step=0)
    large+=(learn.skip_silent_groups=false)
    said_and_taken checkpoint 2 "${large[@]}"
    said_and_taken checkpoint-nf4 2 "${large[@]}" model.load_dtype=nf4
    ;;
*)
    sed -n '2,4p' "$0"
    exit 2
    ;;
esac

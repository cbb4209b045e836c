# What the launcher ssh runs on each host, by the shell of POSIX: it comes through ssh's input, with what is set for the host in front of
# it, and a call behind it. Standard output carries reports, lines that begin with @$TOKEN, and what engines print, each line behind the
# number of its engine. What is of Linux: /proc, setsid.

say() {
    printf '@%s %s\n' "$TOKEN" "$*"
}

# Ends the host's part with a sentence.
fail() {
    say problem "$(printf '%s' "$*" | tr '\n' ' ')"
    exit 1
}

# Sets state, group, session and born from what the kernel says of a process.
look_at() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${line##*) }
    state=$1 group=$3 session=$4 born=${20}
}

# Sends a signal to an engine and what it started.
signal_session() { # leader signal
    kill -s "$2" -- "-$1" 2>/dev/null || kill -s "$2" "$1" 2>/dev/null
    for process in /proc/[0-9]*; do
        process=${process#/proc/}
        look_at "$process" && [ "$session" = "$1" ] && [ "$group" != "$1" ] && kill -s "$2" "$process" 2>/dev/null
    done
    return 0
}

# Whether a process of a session runs.
session_left() { # leader
    for process in /proc/[0-9]*; do
        look_at "${process#/proc/}" && [ "$session" = "$1" ] && [ "$state" != Z ] && return 0
    done
    return 1
}

# Ends what an engine that has gone left behind.
end_session() { # leader
    session_left "$1" || return 0
    signal_session "$1" TERM
    for try in 1 2 3 4 5; do
        session_left "$1" || return 0
        sleep 0.2
    done
    signal_session "$1" KILL
}

# Whether an engine's watcher runs.
watcher_left() { # leader
    for process in /proc/[0-9]*; do
        { read -r name <"$process/comm"; } 2>/dev/null && [ "$name" = engine-watcher ] || continue
        case $(tr '\0' ' ' <"$process/cmdline") in
            "engine-watcher $1 "*) return 0 ;;
        esac
    done 2>/dev/null
    return 1
}

# Engines that run are those with a file of their process's number.
signal_all() { # signal
    for file in "$run"/pid.*; do
        { read -r leader <"$file"; } 2>/dev/null && signal_session "$leader" "$1"
    done
}

none_left() {
    for file in "$run"/pid.*; do
        [ -e "$file" ] && return 1
    done
    return 0
}

# Ends all engines, politely and then not.
stop_all() { # seconds between
    : >"$run/stop"
    signal_all TERM
    tries=$(($1 * 5))
    while [ $tries -gt 0 ]; do
        none_left && return 0
        tries=$((tries - 1))
        sleep 0.2
    done
    until none_left; do
        signal_all KILL
        sleep 0.2
    done
}

# Takes the next bytes of the input, and none behind them. Not every head is as exact as GNU's.
take() { # bytes
    case $(head --version 2>/dev/null) in
        *"GNU coreutils"*) head -c "$1" <&3 ;;
        *) dd bs=1 count="$1" 2>/dev/null <&3 ;;
    esac
}

# Takes files until it is time to start.
receive() {
    while read -r word size path <&3; do
        case $word in
            start) return 0 ;;
            secret) take "$size" >"$stem$path.json" || fail "$stem$path.json cannot be written" ;;
            file)
                case $path in
                    /*) ;;
                    *) path=$HOME/$path ;;
                esac
                case $path in
                    */*) mkdir -p "${path%/*}" || fail "the folder of $path cannot be made" ;;
                esac
                take "$size" >"$path" || fail "$path cannot be written"
                ;;
        esac
    done
    exit 0
}

# Obeys as long as the connection stands; engines end with it.
listen() {
    while read -r word number <&3; do
        case $word in
            signal) signal_all "$number" ;;
            stop) stop_all "$number" & ;;
        esac
    done
    stop_all "$GRACE"
}

# Passes on what an engine prints, and keeps it here.
copy() { # number log
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s\n' "$line" >>"$2"
        printf '%s: %s\n' "$1" "$line"
    done <"$run/out.$1"
    rm -f "$run/out.$1"
}

# Runs one engine, or the controller, to its end: it leads a session of its own.
engine() { # number word...
    number=$1
    shift
    mkfifo "$run/out.$number" || { say ended "$number" 1; exit 1; }
    (trap - PIPE; exec setsid "$@") >"$run/out.$number" 2>&1 3<&- &
    leader=$!
    look_at "$leader"
    echo "$leader" >"$run/new.$number" && mv "$run/new.$number" "$run/pid.$number"
    say started "$number" "$leader" "$born"
    [ -e "$run/stop" ] && kill -TERM "$leader"
    copy "$number" "$profile/log/$LABEL-$leader.log" 2>/dev/null &
    copier=$!
    { wait "$leader"; } 2>/dev/null # the shell says of its own which signal it was
    status=$?
    rm -f "$run/pid.$number"
    # It tells the controller how the engine ended, through the connection that may end with the last engine.
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        watcher_left "$leader" || break
        sleep 0.2
    done
    end_session "$leader"
    finish
    # Who has left the session may hold its output for ever.
    for try in 1 2 3 4 5 6 7 8 9 10; do
        [ -e "$run/out.$number" ] || break
        sleep 0.1
    done
    kill "$copier" 2>/dev/null
    : >"$run/ended.$number"
    say ended "$number" "$status"
}

# What a set has to do when it has ended, also where this shell has: an ipcluster that was killed leaves engines.
finish() {
    [ -e "$run/finish" ] || return 0
    (. "$run/finish") >/dev/null 2>&1
    rm -f "$run/finish"
}

# A private folder for the connection file and for sockets, whose paths must be short.
make_run() {
    for place in "$XDG_RUNTIME_DIR" "$TMPDIR" /tmp; do
        [ -n "$place" ] && [ ${#place} -lt 60 ] && run=$(mktemp -d "$place/ipcluster-ssh-XXXXXX" 2>/dev/null) && stem=$run/ && return 0
    done
    fail "no private folder can be made in /tmp there"
}

make_profile() {
    case $PROFILE_DIR in
        /*) profile=$PROFILE_DIR ;;
        *) profile=$HOME/$PROFILE_DIR ;;
    esac
    words=$(mkdir -p "$profile/log" 2>&1 && mkdir -p "$profile/security" "$profile/pid" 2>&1) &&
        words=$( (: >>"$profile/log/$LABEL.log") 2>&1) ||
        fail "the profile folder $profile cannot be used there: $words (another can be named with --SSHLauncher.remote_profile_dir)"
    rm -f "$profile/log/$LABEL.log"
}

run_prologue() {
    eval "$PROLOGUE"
}

# Whether a program is of ipcluster: ipyparallel's have the same names.
is_ours() { # program name
    [ -x "$1" ] && words=$("$1" --version 2>&1) && [ "${words% *}" = "$2" ] && version=${words##* }
}

# Sets program, and version where it is one of ours: the one that is named, or, of those that come with ipcluster, one that is
# installed here.
find_program() { # name
    version=-
    name=${1##*/}
    case $1 in
        */*) program=$1 ;;
        *) program=$(command -v "$1") ;;
    esac
    if [ -x "$program" ]; then
        is_ours "$program" "$name"
        return 0
    fi
    case $name in
        ipengine | ipcontroller | ipcluster) ;;
        *) fail "there is no program $1 there" ;;
    esac
    for program in "$(command -v "$name")" "$("${SHELL:-/bin/sh}" -lc "command -v $name" 2>/dev/null | tail -n 1)" "$HOME/.local/bin/$name"; do
        is_ours "$program" "$name" && return 0
    done
    fail "there is no $name of ipcluster there, neither as $1 nor on the PATH: install it there, or name it with $CMD_SETTING"
}

prepare() { # program
    umask 077
    run=
    trap '' PIPE
    trap '[ -z "$run" ] || { stop_all 0; finish; rm -rf "$run"; }' EXIT
    trap 'exit 1' HUP INT TERM
    exec 3<&0 </dev/null
    read -r boot </proc/sys/kernel/random/boot_id
    look_at $$
    say agent $$ "$born" "$boot"
    cd "$HOME" 2>/dev/null || fail "the home folder $HOME cannot be entered there"
    command -v setsid >/dev/null || fail "there is no setsid there (of util-linux)"
    make_run
    make_profile
    run_prologue || fail "the prologue ended with status $?"
    [ -z "$WORK_DIR" ] || { cd "$HOME" && cd "$WORK_DIR"; } 2>/dev/null || fail "the working folder $WORK_DIR cannot be entered there"
    find_program "$1"
    say ready "$run" "$version"
}

# As one word of a shell.
quote() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# For an ipcluster that starts the engines: its connection files are where it looks for them, as do engines on further hosts. They go
# first: the ipcluster that ends what is left is to find engines, and no controller that it could end, too.
prepare_proxy() { # words that end what it leaves
    cluster=ssh-$TOKEN
    stem=$profile/security/ipcontroller-$cluster-
    printf '%s\n' "program=$(quote "$program") profile=$(quote "$profile") cluster=$cluster stem=$(quote "$stem")" \
        'rm -f "${stem}engine.json" "${stem}client.json"' "$1" >"$run/finish"
}

# Runs the engines until all have ended.
run_engines() {
    receive
    listen &
    listener=$!
    engines= number=0
    while [ $number -lt "$COUNT" ] && [ ! -e "$run/stop" ]; do
        [ $number -eq 0 ] || [ "$DELAY" = 0.000 ] || sleep "$DELAY"
        with_words engine $number &
        engines="$engines $!"
        number=$((number + 1))
    done
    for started in $engines; do
        wait "$started"
    done
    kill "$listener"
}

# Runs a controller to its end, and tells when its files are there.
run_controller() {
    receive
    : >"$run/before"
    listen &
    listener=$!
    with_words engine 0 &
    controller=$!
    stem=$profile/security/$FILES
    until [ "$stem-client.json" -nt "$run/before" ] && [ "$stem-engine.json" -nt "$run/before" ]; do
        [ ! -e "$run/ended.0" ] || break
        sleep 0.1
    done
    [ -e "$run/ended.0" ] || say files "$stem"
    wait "$controller"
    kill "$listener"
}

# Ends engines of a connection that has gone: by number of process and the time of its start.
clean_up() { # boot-id folder (leader born)...
    read -r boot </proc/sys/kernel/random/boot_id
    if [ "$boot" = "$1" ]; then
        run=$2
        shift 2
        leaders=
        while [ $# -gt 1 ]; do
            look_at "$1" && [ "$born" = "$2" ] && leaders="$leaders $1" && signal_session "$1" TERM
            shift 2
        done
        tries=$((GRACE * 5))
        for leader in $leaders; do
            while session_left "$leader" && [ $tries -gt 0 ]; do
                tries=$((tries - 1))
                sleep 0.2
            done
            signal_session "$leader" KILL
        done
        [ -z "$run" ] || { finish; rm -rf "$run"; }
    fi
    say clean
}

#compdef ipcluster ipcontroller ipengine
# Completes command lines of ipcluster, ipcontroller and ipengine in zsh: ipcluster completion zsh

_ipcluster()
{
    local program=${~words[1]} line
    local -a options shown_options others shown_others
    # Programs of these names that are others' could take the question for something to do.
    [[ "$($program --version 2>/dev/null)" == "${program:t} "* ]] || return 1
    for line in "${(@f)$($program --complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        if [[ ${line%%$'\t'*} == *= ]]; then
            options+=("${line%%$'\t'*}")
            shown_options+=("${line/$'\t'/  -- }")
        elif [[ -n $line ]]; then
            others+=("${line%%$'\t'*}")
            shown_others+=("${line/$'\t'/  -- }")
        fi
    done
    if (( ! ${#options} && ! ${#others} )); then
        compset -P '*='
        _files
        return
    fi
    compadd -l -S '' -d shown_options -a options
    compadd -l -d shown_others -a others
}

if [[ ${funcstack[1]-} == _ipcluster ]]; then
    _ipcluster "$@"
else
    compdef _ipcluster ipcluster ipcontroller ipengine
fi

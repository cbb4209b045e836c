# Completes command lines of ipcluster, ipcontroller and ipengine in bash: ipcluster completion bash

_ipcluster()
{
    local program=${1/#\~\//$HOME/} line=${COMP_LINE:0:COMP_POINT} typed cut
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed=${words[-1]}
    # Programs of these names that are others' could take the question for something to do.
    [[ $("$program" --version 2>/dev/null) == "${program##*/} "* ]] || return
    mapfile -t COMPREPLY < <("$program" --complete "${words[@]:1:${#words[@]}-2}" "$typed" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
    # To bash, what stands behind a = is a word of its own.
    cut=${typed%"${typed##*[$COMP_WORDBREAKS]}"}
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
}

complete -o default -F _ipcluster ipcluster ipcontroller ipengine

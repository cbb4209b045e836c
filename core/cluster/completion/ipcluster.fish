# Completes command lines of ipcluster, ipcontroller and ipengine in fish: ipcluster completion fish

function __ipcluster_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    # Programs of these names that are others' could take the question for something to do.
    string match -q -- (basename $words[1])' *' ($words[1] --version 2>/dev/null); or return
    set -l offered ($words[1] --complete $words[2..-1] "$typed" 2>/dev/null)
    if test (count $offered) -gt 0
        printf '%s\n' $offered
    else
        __fish_complete_suffix ''
    end
end

for program in ipcluster ipcontroller ipengine
    complete -c $program -f -a '(__ipcluster_complete)'
end

package cilium

import (
	"os"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/cgroups"
)

// CheckLockout refuses decisions that could cut off the machine, or the user who runs
// gotrace. Such a decision denies something to the root cgroup, to the cgroup of process 1,
// to a cgroup that gotrace runs in, or to that of sshd. The policies in names are permitted
// to do so.
func CheckLockout(list []*cilium.Decision, names []string, diags *source.Diags) {
	for _, d := range list {
		what := ""
		switch e := d.Endpoint; {
		case !d.Denies():
			continue
		case e.Host:
			what = "the whole machine"
		case holds(e.Dir, "1"):
			what = "the first process of the machine"
		case holds(e.Dir, "self"):
			what = "the processes that gotrace runs with"
		case slices.ContainsFunc(e.Labels["gotrace:comm"], func(comm string) bool { return strings.HasPrefix(comm, "sshd") }): // also sshd-session
			what = "sshd"
		default:
			continue
		}
		for _, s := range d.Specs {
			if !slices.Contains(names, s.Policy) {
				diags.ErrorHint(s.At, "if that is what you want: --may-lock-out "+s.Policy,
					"the policy %s can deny %s traffic to %s, and you may lose your connection to it", s.Policy, d.Dir, what)
			}
		}
	}
}

// holds reports whether a process is in the cgroup with a directory, or in one below it.
func holds(dir, pid string) bool {
	root, err := cgroups.Version2("/proc")
	if err != nil {
		return false
	}
	text, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return strings.HasPrefix(root+path+"/", dir+"/")
		}
	}
	return false
}

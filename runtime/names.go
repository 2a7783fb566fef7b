package runtime

import (
	"bufio"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/cgroups"
)

// names translates IDs of users and cgroups into names and caches them.
type names struct {
	proc    string
	users   map[uint32]string
	cgroups map[cgroupKey]string
	roots   []cgroups.Root
	owners  owners
	commands
}

type cgroupKey struct {
	id     uint64
	filter string
}

// EachUser calls f with the name and the ID of each user in /etc/passwd, in the order of
// the file.
func EachUser(f func(name string, id uint32)) error {
	file, err := os.Open("/etc/passwd")
	if err != nil {
		return err
	}
	defer file.Close()
	for sc := bufio.NewScanner(file); sc.Scan(); {
		fields := strings.SplitN(sc.Text(), ":", 4)
		if len(fields) < 4 {
			continue
		}
		if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			f(fields[0], uint32(id))
		}
	}
	return nil
}

// User returns a user's name, or the number if the user has no name.
func (n *names) User(uid uint32) string {
	if n.users == nil {
		n.users = map[uint32]string{}
		_ = EachUser(func(name string, id uint32) { // without the file, users have numbers
			if _, seen := n.users[id]; !seen {
				n.users[id] = name
			}
		})
	}
	if name, ok := n.users[uid]; ok {
		return name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// Cgroup returns the path of a cgroup within its hierarchy, as "hierarchy:/path",
// for every hierarchy whose name matches filter. The filter may contain wildcards;
// "" matches all.
func (n *names) Cgroup(id uint64, filter string) string {
	key := cgroupKey{id, filter}
	if s, ok := n.cgroups[key]; ok {
		return s
	}
	if n.roots == nil {
		n.roots = cgroups.Roots(n.proc)
	}
	var found []string
	for _, r := range n.roots {
		if ok, _ := path.Match(filter, r.Name); filter != "" && !ok {
			continue
		}
		if p, ok := cgroups.Path(r.Dir, id); ok {
			found = append(found, r.Name+":"+p)
		}
	}
	if n.cgroups == nil {
		n.cgroups = map[cgroupKey]string{}
	}
	s := strings.Join(found, ",")
	n.cgroups[key] = s
	return s
}

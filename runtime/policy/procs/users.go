package procs

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// User is a user of the machine, or of a container.
type User struct {
	Name, Home, Shell string
}

// Names finds users and groups by their numbers in /etc/passwd and /etc/group. It reads
// the files again when they have changed.
type Names struct {
	root    string
	users   map[uint32]*User
	groups  map[uint32]string
	stamps  [2]string
	checked time.Time
}

// NewNames returns the names of a file system: "" is the machine's own.
func NewNames(root string) *Names { return &Names{root: root} }

// recheck is how long the files are assumed to be unchanged.
const recheck = time.Second

func (n *Names) refresh() {
	if time.Since(n.checked) < recheck {
		return
	}
	n.checked = time.Now()
	for i, file := range []string{"/etc/passwd", "/etc/group"} {
		st, err := os.Stat(n.root + file)
		stamp := ""
		if err == nil {
			stamp = st.ModTime().String() + strconv.FormatInt(st.Size(), 10)
		}
		if stamp == n.stamps[i] && (n.users != nil && n.groups != nil) {
			continue
		}
		n.stamps[i] = stamp
		lines := strings.Split(readText(n.root+file), "\n")
		if i == 0 {
			n.users = map[uint32]*User{}
			for _, line := range lines {
				f := strings.Split(line, ":")
				if id, ok := idOf(f, 7); ok && n.users[id] == nil {
					n.users[id] = &User{f[0], f[5], f[6]}
				}
			}
			continue
		}
		n.groups = map[uint32]string{}
		for _, line := range lines {
			f := strings.Split(line, ":")
			if id, ok := idOf(f, 3); ok && n.groups[id] == "" {
				n.groups[id] = f[0]
			}
		}
	}
}

// idOf returns the number in a line of at least count fields.
func idOf(fields []string, count int) (uint32, bool) {
	if len(fields) < count {
		return 0, false
	}
	id, err := strconv.ParseUint(fields[2], 10, 32)
	return uint32(id), err == nil
}

// User returns the user with a number, or nil.
//
//go:noinline
func (n *Names) User(id uint32) *User {
	n.refresh()
	return n.users[id]
}

// Group returns the name of the group with a number, or "".
func (n *Names) Group(id uint32) string {
	n.refresh()
	return n.groups[id]
}

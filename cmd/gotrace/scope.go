package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/outline"
)

// checkScope checks the flags that select processes, without reading anything from the
// system.
func (o *options) checkScope(given func(string) bool) error {
	for _, f := range []struct{ name, val string }{
		{"comm", o.comm}, {"uid", o.uid}, {"cgroup", o.cgroup}, {"container", o.container}, {"unit", o.unit},
	} {
		switch {
		case given(f.name) && f.val == "":
			return usagef("USAGE: --%s needs a value.", f.name)
		case strings.ContainsRune(f.val, 0):
			return usagef("USAGE: --%s: a NUL byte in %q.", f.name, f.val)
		}
	}
	const maxComm = 15
	switch {
	case o.follow && !given("pid") && !given("cmd"):
		return usagef("USAGE: --follow needs -p or -c.")
	case len(o.comm) > maxComm:
		return usagef("USAGE: --comm: the kernel keeps %d bytes of a thread's name: write %q.", maxComm, o.comm[:maxComm])
	case o.emitELF != "" && (o.follow || o.cgroup != "" || o.container != "" || o.unit != ""):
		return usagef("USAGE: --emit-elf cannot be used with --follow, --cgroup, --container or --unit: other loaders do not fill the tables that these need.")
	}
	return nil
}

// scope returns the tasks that the flags select in addition to -p.
func (a *app) scope() (s probes.Scope, err error) {
	o := a.opt
	s.Follow, s.Comm = o.follow, o.comm
	if s.UID, err = findUser(o.uid); err != nil {
		return s, err
	}
	system := &cgroups.System{}
	for _, f := range []struct {
		flag, val string
		find      func(string) (dir string, err error)
	}{
		{"--cgroup", o.cgroup, findCgroup}, {"--container", o.container, system.FindContainer}, {"--unit", o.unit, system.FindUnit},
	} {
		if f.val == "" {
			continue
		}
		dir, err := f.find(f.val)
		if err != nil {
			return s, scopeError(f.flag, err)
		}
		id, err := cgroups.ID(dir)
		if err != nil {
			return s, scopeError(f.flag, err)
		}
		s.Cgroups = append(s.Cgroups, probes.Cgroup{Dir: dir, ID: id})
	}
	return s, nil
}

// scopeError returns the error for a flag whose value does not exist, with the nearest
// name.
func scopeError(flag string, err error) error {
	d := source.Diag{Msg: fmt.Sprintf("%s: %v", flag, bare(err))}
	var missing *cgroups.NotFoundError
	if errors.As(err, &missing) {
		d.Hint = source.DidYouMean(missing.Name, missing.Names)
		if d.Hint == "" && len(missing.Names) > 0 && len(missing.Names) <= maxListed {
			d.Hint = "there are " + strings.Join(missing.Names, ", ")
		}
	}
	return source.DiagError{d}
}

// maxListed is the maximum number of existing names that an error lists.
const maxListed = 10

// findUser returns the ID of a user, given by ID or by name. It returns nil for "".
func findUser(text string) (*uint32, error) {
	if text == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		uid := uint32(n)
		return &uid, nil
	}
	var found *uint32
	var names []string
	err := runtime.EachUser(func(name string, id uint32) {
		if name == text && found == nil {
			found = &id
		}
		names = append(names, name)
	})
	switch {
	case err != nil:
		return nil, outline.Errorf("--uid %s: cannot read the names of users: %v; use the number", text, bare(err))
	case found != nil:
		return found, nil
	}
	return nil, source.DiagError{{Msg: fmt.Sprintf("--uid: there is no user %q in /etc/passwd", text), Hint: source.DidYouMean(text, names)}}
}

// findCgroup returns the directory of the cgroup at a path. The path is one of the file
// system, or relative to the root of the version 2 hierarchy.
func findCgroup(path string) (string, error) {
	root, err := cgroups.Version2("/proc")
	if err != nil {
		return "", err
	}
	for _, dir := range []string{path, filepath.Join(root, path)} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) != nil {
			continue
		}
		switch fs.Type {
		case unix.CGROUP2_SUPER_MAGIC:
			if info, err := os.Stat(dir); err == nil && !info.IsDir() {
				return "", outline.Errorf("%s is a file of a cgroup, not its directory", dir)
			}
			return filepath.Abs(dir)
		case unix.CGROUP_SUPER_MAGIC:
			return "", outline.Errorf("%s is a cgroup of version 1, which programs cannot test; those of version 2 are below %s", dir, root)
		}
	}
	return "", outline.Errorf("there is no cgroup %s, and none of that path below %s", path, root)
}

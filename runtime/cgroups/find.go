package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// System specifies where to search for containers and units.
type System struct {
	Root string // of the file system with the state files; "" is /
	Proc string // mount point of procfs; "" is /proc

	containers map[string]*Container // see Containers
}

func (s *System) proc() string {
	if s.Proc == "" {
		return "/proc"
	}
	return s.Proc
}

// known returns the containers in the state files, which it reads once.
func (s *System) known() map[string]*Container {
	if s.containers == nil {
		root := s.Root
		if root == "" {
			root = "/"
		}
		s.containers = Containers(root)
	}
	return s.containers
}

// Reread makes s read the state files again when they are next needed.
func (s *System) Reread() { s.containers = nil }

// Container returns the description of a container in the state files, or nil.
func (s *System) Container(id string) *Container { return s.known()[id] }

// Pod returns the name of a pod, or "" if the state files do not contain it.
func (s *System) Pod(uid string) string {
	for _, c := range s.known() {
		if c.PodUID == uid && c.Pod != "" {
			return c.PodName()
		}
	}
	return ""
}

// NotFoundError is the error for a container, pod or unit that is not running. Name is
// the name that was searched for, Names are those that are running.
type NotFoundError struct {
	Msg, Name string
	Names     []string
}

func (e *NotFoundError) Error() string { return e.Msg }

// running is a container that has a cgroup.
type running struct {
	*Container
	dir string
}

// FindContainer returns the cgroup directory of a running container. The text is its
// ID, the beginning of its ID, or its name as NAME, POD/NAME or NAMESPACE/POD/NAME.
func (s *System) FindContainer(text string) (string, error) {
	root, err := Version2(s.proc())
	if err != nil {
		return "", err
	}
	all, err := s.running(root)
	if err != nil {
		return "", err
	}
	var byName, byID []running
	var names []string
	for _, c := range all {
		if c.Name != "" && slices.Contains(c.names(), text) {
			byName = append(byName, c)
		}
		switch {
		case c.ID == text:
			return c.dir, nil
		case text != "" && isHex(text) && strings.HasPrefix(c.ID, text):
			byID = append(byID, c)
		}
		if c.Name != "" {
			names = append(names, c.Name)
		}
	}
	found := byName
	if len(found) == 0 {
		found = byID
	}
	switch {
	case len(found) == 1:
		return found[0].dir, nil
	case len(found) > 1:
		var list []*Container
		for _, c := range found {
			list = append(list, c.Container)
		}
		var texts []string
		for _, c := range sorted(list) {
			texts = append(texts, c.String())
		}
		return "", outline.Errorf("%d running containers are called %q: %s", len(found), text, strings.Join(texts, ", "))
	}
	for _, c := range s.known() {
		if c.ID == text || c.Name != "" && slices.Contains(c.names(), text) {
			return "", &NotFoundError{Msg: fmt.Sprintf("container %s does not run, or has no cgroup of version 2 below %s", c, root)}
		}
	}
	return "", &NotFoundError{Msg: fmt.Sprintf("no container %q runs", text), Name: text, Names: names}
}

// FindPod returns the cgroup directory of a running pod. The text is its UID or its
// name, with or without the namespace.
func (s *System) FindPod(text string) (string, error) {
	root, err := Version2(s.proc())
	if err != nil {
		return "", err
	}
	pods := map[string]string{} // directories by UID
	err = walk(root, func(dir, base string) {
		if uid := podUID(base); uid != "" && pods[uid] == "" {
			pods[uid] = dir
		}
	})
	if err != nil {
		return "", err
	}
	var found, names []string
	for uid, dir := range pods {
		name := s.Pod(uid)
		_, short, _ := strings.Cut(name, "/")
		switch {
		case uid == text:
			return dir, nil
		case name != "" && (name == text || short == text):
			found = append(found, dir)
		}
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", outline.Errorf("%d running pods are called %q: write NAMESPACE/NAME or the UID", len(found), text)
	}
	return "", &NotFoundError{Msg: fmt.Sprintf("no pod %q runs", text), Name: text, Names: names}
}

// names returns the names by which a container can be found.
func (c *Container) names() []string {
	list := []string{c.Name}
	if c.Pod != "" {
		list = append(list, c.Pod+"/"+c.Name)
		if c.Namespace != "" {
			list = append(list, c.Namespace+"/"+c.Pod+"/"+c.Name)
		}
	}
	return list
}

// running returns the containers that have a cgroup, sorted by its path. If several
// cgroups have a container's name, the outermost one is the container's.
func (s *System) running(root string) (list []running, err error) {
	seen := map[string]bool{}
	add := func(id, dir string) {
		if seen[id] {
			return
		}
		seen[id] = true
		c := s.known()[id]
		if c == nil {
			c = &Container{ID: id}
			if !isID(id) {
				c.Name = id
			}
		}
		list = append(list, running{c, dir})
	}
	err = walk(root, func(dir, name string) {
		if id := ContainerID(name); id != "" {
			add(id, dir)
		}
	})
	// The names of other containers' cgroups do not show that they are containers.
	for id, c := range s.known() {
		if !seen[id] && c.pid > 0 && !isID(id) {
			if path := s.cgroupOf(c.pid); path != "" && path != "/" {
				add(id, filepath.Join(root, path))
			}
		}
	}
	return list, err
}

// cgroupOf returns the path of the version 2 cgroup of a process, or "".
func (s *System) cgroupOf(pid int) string {
	text, err := os.ReadFile(filepath.Join(s.proc(), strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path
		}
	}
	return ""
}

// walk calls visit for each cgroup below root. It leaves out cgroups that are removed
// meanwhile.
//
//go:noinline
func walk(root string, visit func(dir, name string)) error {
	return filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && dir == root:
			return err
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && dir != root:
			visit(dir, d.Name())
		}
		return nil
	})
}

// FindUnit returns the cgroup directory of a running systemd unit. A name without a type
// is the name of a service.
func (s *System) FindUnit(name string) (string, error) {
	root, err := Version2(s.proc())
	if err != nil {
		return "", err
	}
	if !isUnit(name) && !strings.HasSuffix(name, ".slice") {
		name += ".service"
	}
	var found, names []string
	err = walk(root, func(dir, base string) {
		if base == name {
			found = append(found, dir)
		}
		if isUnit(base) || strings.HasSuffix(base, ".slice") {
			names = append(names, base)
		}
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", outline.Errorf("%d running units are called %s: choose one by its cgroup: %s", len(found), name, strings.Join(found, ", "))
	}
	slices.Sort(names)
	return "", &NotFoundError{Msg: fmt.Sprintf("no unit %s runs", name), Name: name, Names: slices.Compact(names)}
}

// Cgroups returns the paths below root of all cgroups by their IDs.
func Cgroups(root string) map[uint64]string {
	all := map[uint64]string{}
	if id, err := ID(root); err == nil {
		all[id] = "/"
	}
	walk(root, func(dir, _ string) {
		if id, err := ID(dir); err == nil {
			all[id] = strings.TrimPrefix(dir, root)
		}
	})
	return all
}

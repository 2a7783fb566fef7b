// Package cgroups finds the mounted cgroup hierarchies, and the containers, pods and
// systemd units that their cgroups belong to.
package cgroups

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Root is a mounted cgroup hierarchy: its name (Unified for version 2, the controllers
// for version 1) and its directory.
type Root struct{ Name, Dir string }

// Unified is the name of the version 2 hierarchy.
const Unified = "unified"

// Roots returns the mounted hierarchies without duplicates, version 2 first and the
// others sorted by name. proc is the mount point of procfs.
func Roots(proc string) []Root {
	text, err := os.ReadFile(proc + "/self/mounts")
	if err != nil {
		return nil
	}
	var roots []Root
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 4 || f[2] != "cgroup" && f[2] != "cgroup2" {
			continue
		}
		name := Unified
		if f[2] == "cgroup" {
			name = filepath.Base(f[1])
		}
		if !seen[name] { // a hierarchy may be mounted in several places
			seen[name] = true
			roots = append(roots, Root{name, unescape(f[1])})
		}
	}
	sort.Slice(roots, func(i, j int) bool {
		a, b := roots[i].Name, roots[j].Name
		if (a == Unified) != (b == Unified) {
			return a == Unified
		}
		return a < b
	})
	return roots
}

// unescape replaces the octal escapes of spaces and other characters in a list of
// mounts.
func unescape(s string) string {
	return unescaped(s, func(escape string) (uint64, bool) {
		n, err := strconv.ParseUint(escape[1:], 8, 8)
		return n, err == nil
	})
}

// ErrNone is the error of Version2 if no such hierarchy is mounted.
var ErrNone = errors.New("no cgroup hierarchy of version 2 is mounted")

// Version2 returns the directory of the version 2 hierarchy.
//
//go:noinline
func Version2(proc string) (string, error) {
	for _, r := range Roots(proc) {
		if r.Name == Unified {
			return r.Dir, nil
		}
	}
	return "", ErrNone
}

// ID returns the ID of the cgroup with that directory.
func ID(dir string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	return st.Ino, err // in cgroupfs a directory's inode number is the cgroup's ID
}

// fileidKernfs is the file handle type with which kernfs finds a node by its ID.
const fileidKernfs = 0xfe

// Path returns the path below root of the cgroup with an ID.
func Path(root string, id uint64) (string, bool) {
	if p, ok := PathNow(root, id); ok {
		return p, true
	}
	var found string
	filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Ino == id {
			found = p
			return filepath.SkipAll
		}
		return nil
	})
	return below(root, found)
}

// PathNow is like Path, but fails if the kernel cannot open a cgroup by its ID.
func PathNow(root string, id uint64) (string, bool) {
	dir, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(dir)
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], id)
	fd, err := unix.OpenByHandleAt(dir, unix.NewFileHandle(fileidKernfs, b[:]), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "", false
	}
	return below(root, p)
}

func below(root, p string) (string, bool) {
	rest, ok := strings.CutPrefix(p, root)
	if !ok || p == "" {
		return "", false
	}
	if rest == "" {
		rest = "/"
	}
	return rest, true
}

package probes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// resolveBinaries finds the files that the binary part of an attach point
// means: a path, a path with wildcards, a program in PATH, a library known to
// the dynamic linker ("libc" or "libc.so.6"), or, with a process, "" for its
// program and "*" for all it has mapped.
func resolveBinaries(e *Env, kind, target string) ([]string, error) {
	pid := e.PID
	if target == "" || target == "*" {
		if pid == 0 {
			return nil, usage("%s without a binary needs a process: -p PID", kind)
		}
		if target == "" {
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if err != nil {
				return nil, fmt.Errorf("the program of process %d is not known: %w", pid, err)
			}
			return []string{exe}, nil
		}
		return mappedFiles(pid)
	}
	if isWild(target) {
		if !strings.Contains(target, "/") {
			return nil, usage("%s: %s: wildcards need a path", kind, target)
		}
		// Only * is special here, unlike for the shell.
		pattern := strings.NewReplacer(`\`, `\\`, "?", `\?`, "[", `\[`).Replace(target)
		paths, err := filepath.Glob(pattern)
		return paths, err
	}
	if strings.Contains(target, "/") {
		file, _, _ := splitArchive(target)
		if st, err := os.Stat(inProcess(e, file)); err == nil && !st.IsDir() {
			return []string{target}, nil
		}
		return nil, usage("%s target file '%s' does not exist or is not executable", kind, target)
	}
	if path := inPATH(target); path != "" {
		return []string{path}, nil
	}
	if path := inLinkerCache(target); path != "" {
		return []string{path}, nil
	}
	return nil, usage("%s target file '%s' does not exist or is not executable", kind, target)
}

// inProcess is a path as the traced process sees it, if it lives in another
// root or mount namespace.
func inProcess(e *Env, path string) string {
	pid := e.PID
	if pid == 0 || !strings.HasPrefix(path, "/") {
		return path
	}
	theirs := fmt.Sprintf("/proc/%d/root%s", pid, path)
	a, err := os.Stat(theirs)
	if err != nil {
		return path
	}
	if b, err := os.Stat(path); err == nil && os.SameFile(a, b) {
		return path
	}
	return theirs
}

// mappedFiles lists the files that a process has mapped to run code from.
func mappedFiles(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no process %d", pid)
	} else if err != nil {
		return nil, err
	}
	var list []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), " ", 6)
		if len(f) < 6 || len(f[1]) < 3 || f[1][2] != 'x' {
			continue
		}
		path := strings.TrimLeft(f[5], " ")
		if strings.HasPrefix(path, "/") && !strings.HasSuffix(path, " (deleted)") && !seen[path] {
			seen[path] = true
			list = append(list, path)
		}
	}
	return list, nil
}

func inPATH(name string) string {
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		if !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// libraryDirs are searched where there is no linker cache.
var libraryDirs = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}

// inLinkerCache looks a library up in /etc/ld.so.cache by its file name, with
// or without what follows ".so".
func inLinkerCache(name string) string {
	cache, err := os.ReadFile("/etc/ld.so.cache")
	if err == nil {
		if path := findInCache(cache, name); path != "" {
			return path
		}
	}
	for _, dir := range libraryDirs {
		for _, pattern := range []string{name, name + ".so", name + ".so.*"} {
			if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
				return found[0]
			}
		}
	}
	return ""
}

// findInCache reads the format of glibc 2.2 and later: a header of 48 bytes
// with the number of entries at 20, then entries of 24 bytes (flags, offset of
// the name, offset of the path, …). Offsets count from the header. An old-style
// cache may precede it.
func findInCache(cache []byte, name string) string {
	magic := []byte("glibc-ld.so.cache1.1")
	i := bytes.Index(cache, magic)
	if i < 0 {
		return ""
	}
	cache = cache[i:]
	if len(cache) < 48 {
		return ""
	}
	order := binary.LittleEndian // both supported architectures
	n := int(order.Uint32(cache[20:]))
	text := func(off uint32) string {
		if int(off) >= len(cache) {
			return ""
		}
		s := cache[off:]
		if end := bytes.IndexByte(s, 0); end >= 0 {
			return string(s[:end])
		}
		return ""
	}
	for e := cache[48:]; n > 0 && len(e) >= 24; n, e = n-1, e[24:] {
		lib := text(order.Uint32(e[4:]))
		base, _, _ := strings.Cut(lib, ".so")
		if lib != name && base != name && !strings.HasPrefix(lib, name+".") {
			continue
		}
		path := text(order.Uint32(e[8:]))
		if x, err := openExecutable(path); err == nil { // skips libraries of 32-bit programs
			x.close()
			if real, err := filepath.EvalSymlinks(path); err == nil {
				path = real
			}
			return path
		}
	}
	return ""
}

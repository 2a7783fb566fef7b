package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gotrace/gotrace/probes/binary"
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
		e.Needs.SetOnlyNow("the files that match a pattern")
		if !strings.Contains(target, "/") {
			return nil, usage("%s: %s: wildcards need a path", kind, target)
		}
		// Only * is special here, unlike for the shell.
		pattern := strings.NewReplacer(`\`, `\\`, "?", `\?`, "[", `\[`).Replace(target)
		paths, err := filepath.Glob(pattern)
		return paths, err
	}
	if strings.Contains(target, "/") {
		file, _, _ := binary.SplitArchive(target)
		if st, err := os.Stat(inProcess(e, file)); err == nil && !st.IsDir() {
			return []string{target}, nil
		}
		return nil, usage("%s target file '%s' does not exist or is not executable", kind, target)
	}
	if path := FindTarget(target); path != "" {
		e.Needs.AddTarget(target, path)
		return []string{path}, nil
	}
	return nil, usage("%s target file '%s' does not exist or is not executable", kind, target)
}

// FindTarget finds a program in PATH or a library known to the dynamic linker by
// its name. It returns its path, or "".
func FindTarget(name string) string {
	if path := inPATH(name); path != "" {
		return path
	}
	return binary.FindLibrary(name)
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

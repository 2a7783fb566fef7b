package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// resolveBinaries returns the files that the binary part of an attach point denotes: a
// path, a path with wildcards, a program in PATH, or a library that the dynamic linker
// finds ("libc" or "libc.so.6"). With -p, "" is the program of the process and "*" is
// every file that it has mapped.
func resolveBinaries(e *Env, kind, target string) ([]string, error) {
	pid := e.PID
	if target == "" {
		if pid == 0 {
			return nil, usage("%s without a binary needs a process: -p PID", kind)
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return nil, outline.Errorf("the program of process %d is not known: %w", pid, err)
		}
		return []string{strings.TrimSuffix(exe, deleted)}, nil
	}
	if isWild(target) {
		e.Needs.SetOnlyNow("the files that match a pattern")
	}
	if isWild(target) && !strings.Contains(target, "/") {
		if pid != 0 {
			paths, err := mappedFiles(pid)
			return slices.DeleteFunc(paths, func(p string) bool { return !wildcard.Match(target, filepath.Base(p)) }), err
		}
		var files []string
		if e.ChildFiles != nil {
			files = e.ChildFiles()
		}
		return everywhere(target, files), nil
	}
	if isWild(target) {
		// Only * is a wildcard here.
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
	if path := libraryOf(pid, target); path != "" {
		return []string{path}, nil
	}
	ours := FindTarget(target)
	theirs := ""
	switch root := fmt.Sprintf("/proc/%d/root", pid); {
	case inPATH(target) != "":
	case pid != 0: // it may load the library later
		theirs = strings.TrimPrefix(binary.FindLibrary(root, target), root)
	case e.ChildFiles != nil:
		theirs = libraryAmong(e.ChildFiles(), target)
	}
	if theirs != "" && theirs != ours {
		e.Needs.SetOnlyNow("where a program finds " + target)
		return []string{theirs}, nil
	}
	if ours != "" {
		e.Needs.AddTarget(target, ours)
		return []string{ours}, nil
	}
	if path := mappedLibrary(target); path != "" && pid == 0 {
		e.Needs.SetOnlyNow("a library that only processes have")
		return []string{path}, nil
	}
	return nil, usage("%s target file '%s' does not exist or is not executable", kind, target)
}

// libraryOf returns the path of a library that a process has mapped, by the library's
// name, or "".
func libraryOf(pid int, name string) string {
	if pid == 0 {
		return ""
	}
	paths, _ := mappedFiles(pid)
	return libraryAmong(paths, name)
}

// libraryAmong returns the first of some paths that may be the library with a name, or
// "".
func libraryAmong(paths []string, name string) string {
	if i := slices.IndexFunc(paths, func(path string) bool { return binary.IsLibrary(name, path) }); i >= 0 {
		return paths[i]
	}
	return ""
}

// mappedLibrary returns a path by which this process can open a library that any process
// has mapped, or "".
func mappedLibrary(name string) string {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if path := libraryOf(pid, name); path != "" {
			if path = inProcess(&Env{PID: pid}, path); fileExists(path) {
				return path
			}
		}
	}
	return ""
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// FindTarget returns the path of a program in PATH or of a library that the dynamic
// linker finds, by its name. It returns "" if there is none.
func FindTarget(name string) string {
	if path := inPATH(name); path != "" {
		return path
	}
	return binary.FindLibrary("/", name)
}

// everywhere lists the files whose names match a pattern, among the given files, the
// programs in $PATH and the files that running processes have mapped as code.
func everywhere(pattern string, files []string) []string {
	var list []string
	seen := map[string]bool{}
	add := func(path string) {
		if !wildcard.Match(pattern, filepath.Base(path)) {
			return
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil || seen[real] {
			return
		}
		seen[real] = true
		if st, err := os.Stat(real); err == nil && st.Mode().IsRegular() {
			list = append(list, real)
		}
	}
	for _, path := range files {
		if path, err := filepath.Abs(path); err == nil {
			add(path)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, f := range entries {
			path := filepath.Join(dir, f.Name())
			if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				add(path)
			}
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil {
			continue
		}
		_ = eachMapped(pid, func(_, path string) { // an error: it has ended, or is a kernel thread
			if !strings.HasSuffix(path, deleted) {
				add(path)
			}
		})
	}
	return list
}

// deleted is the suffix that the kernel adds to the path of a file that was deleted or
// replaced.
const deleted = " (deleted)"

// inProcess returns a path by which this process finds the file with the given path in
// the process of -p, which may have another root or mount namespace. If another file has
// the path now, for example after an update, the path is that of the file that the
// process has mapped.
func inProcess(e *Env, path string) string {
	pid := e.PID
	if pid == 0 || !strings.HasPrefix(path, "/") {
		return path
	}
	if e.replaced == nil {
		e.replaced = map[string]string{}
		_ = eachMapped(pid, func(addrs, path string) { // without the mappings, no file counts as replaced
			if path, ok := strings.CutSuffix(path, deleted); ok {
				e.replaced[path] = fmt.Sprintf("/proc/%d/map_files/%s", pid, addrs)
			}
		})
	}
	if held := e.replaced[path]; held != "" && fileExists(held) {
		return held
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

// mappedFiles lists the files that a process has mapped as code, by the paths that they had
// when they were mapped.
func mappedFiles(pid int) ([]string, error) {
	var list []string
	err := eachMapped(pid, func(_, path string) {
		if path = strings.TrimSuffix(path, deleted); !slices.Contains(list, path) {
			list = append(list, path)
		}
	})
	return list, err
}

// eachMapped calls f with the addresses and the path of each file that a process has mapped
// as code. The addresses are in the form of the names in map_files.
func eachMapped(pid int, f func(addrs, path string)) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return outline.Errorf("there is no process %d", pid)
	} else if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		w := strings.SplitN(strings.TrimRight(line, "\n"), " ", 6)
		if len(w) < 6 || len(w[1]) < 3 || w[1][2] != 'x' {
			continue
		}
		if path := strings.TrimLeft(w[5], " "); strings.HasPrefix(path, "/") {
			f(w[0], path)
		}
	}
	return nil
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

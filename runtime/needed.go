package runtime

import (
	"bufio"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// filesOfProgram returns the files that a program has mapped when it starts: its own, the
// dynamic linker, and the libraries that the linker finds. For a script they are the
// files of its interpreter.
func filesOfProgram(path string) []string {
	if p := interpreter(path); p != "" {
		path = p
	}
	files := []string{path}
	for i := 0; i < len(files); i++ {
		for _, name := range neededBy(files[i]) {
			if !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	return files
}

// interpreter returns the program that the first line of a script names, or "".
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n')
	text, ok := strings.CutPrefix(string(line), "#!")
	words := strings.Fields(text)
	if !ok || len(words) == 0 {
		return ""
	}
	if len(words) == 2 && filepath.Base(words[0]) == "env" {
		return probes.FindTarget(words[1])
	}
	return words[0]
}

// neededBy returns the paths of the dynamic linker and of the libraries that an ELF
// file names itself. It leaves out those that do not exist.
func neededBy(path string) (paths []string) {
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < unix.PathMax {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err == nil {
				paths = append(paths, string(cString(b)))
			}
		}
	}
	names, _ := f.ImportedLibraries()
	if len(names) == 0 {
		return paths
	}
	dirs := searchPath(f, path)
	for _, name := range names {
		if p := findNeeded(name, dirs); p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// searchPath returns the directories that the dynamic linker searches for the
// libraries of a file before those of the system.
func searchPath(f *elf.File, path string) (dirs []string) {
	origin := filepath.Dir(path)
	add := func(lists []string) {
		for _, list := range lists {
			for dir := range strings.SplitSeq(list, ":") {
				if dir = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir); dir != "" {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	runpath, _ := f.DynString(elf.DT_RUNPATH)
	if len(runpath) == 0 {
		rpath, _ := f.DynString(elf.DT_RPATH)
		add(rpath)
	}
	add([]string{os.Getenv("LD_LIBRARY_PATH")})
	add(runpath)
	return dirs
}

func findNeeded(name string, dirs []string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return probes.FindTarget(name)
}

// asMapped returns for each file a mapping of its first page, with the device and inode
// that the kernel reports for mappings. These may differ from the results of stat. It
// leaves out files that cannot be mapped.
func asMapped(files []string) (list []symbols.Mapping) {
	real := map[string]bool{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		b, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		f.Close()
		if err != nil {
			continue
		}
		defer unix.Munmap(b)
		if path, err = filepath.EvalSymlinks(path); err == nil {
			path, _ = filepath.Abs(path)
			real[path] = true
		}
	}
	for _, m := range symbols.Executable("/proc", os.Getpid()) {
		if real[m.Path] {
			delete(real, m.Path)
			list = append(list, m)
		}
	}
	return list
}

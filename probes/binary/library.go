package binary

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// FindLibrary returns the path at which the dynamic linker of programs with a root
// directory finds a library, or "" if there is none. The name is the library's file
// name, with or without ".so" and the version.
func FindLibrary(root, name string) string {
	cache, err := os.ReadFile(filepath.Join(root, "etc/ld.so.cache"))
	if err == nil {
		if path := findInCache(root, cache, name); path != "" {
			return path
		}
	}
	dirs := LibraryDirs(root)
	if path := findInDirs(dirs, name); path != "" {
		return path
	}
	// musl has all its libraries in one file, the dynamic linker.
	base, _, _ := strings.Cut(name, ".so")
	if slices.Contains(muslNames, base) {
		for _, dir := range dirs {
			if path := newestLibrary(dir, "ld-musl-*.so.1"); path != "" {
				return path
			}
		}
	}
	return ""
}

// libraryDirs lists the directories that dynamic linkers search if there is no cache:
// those of glibc in common distributions, the architecture's own first, and those of
// musl.
var libraryDirs = []string{
	"lib/" + multiarch, "usr/lib/" + multiarch, "lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib",
}

// LibraryDirs returns these directories below root, and those that musl's configuration
// lists there.
func LibraryDirs(root string) []string {
	dirs := libraryDirs
	lists, _ := filepath.Glob(filepath.Join(root, "etc/ld-musl-*.path"))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		dirs = append(dirs[:len(dirs):len(dirs)], strings.Fields(strings.ReplaceAll(string(text), ":", "\n"))...)
	}
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		paths[i] = filepath.Join(root, dir)
	}
	return paths
}

// multiarch is Debian's name for the architecture.
var multiarch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu"

// muslNames lists the libraries that musl's dynamic linker contains.
var muslNames = []string{"libc", "libpthread", "librt", "libm", "libdl", "libutil", "libxnet"}

// IsLibrary reports whether a file may be the library with a name that FindLibrary
// takes, by the file's own name.
func IsLibrary(name, path string) bool {
	file := path[strings.LastIndexByte(path, '/')+1:]
	rest, ok := strings.CutPrefix(file, name)
	switch base, _, version := strings.Cut(name, ".so"); {
	case ok && (rest == "" || version && rest[0] == '.' || !version && isSuffix(rest)):
		return true
	case ok && !version && len(rest) > 1 && rest[0] == '-' && rest[1] >= '0' && rest[1] <= '9': // libc-2.31.so
		return strings.HasSuffix(rest, ".so")
	default:
		return slices.Contains(muslNames, base) && strings.HasPrefix(file, "ld-musl-")
	}
}

// isSuffix reports whether text is ".so" or ".so." with a version.
func isSuffix(text string) bool { return text == ".so" || strings.HasPrefix(text, ".so.") }

// findInDirs searches directories for a library, in order.
func findInDirs(dirs []string, name string) string {
	for _, dir := range dirs {
		for _, pattern := range []string{name, name + ".so", name + ".so.*", name + ".*"} {
			if pattern == name+".*" && !strings.Contains(name, ".so") {
				continue // libfoo.a
			}
			if path := newestLibrary(dir, pattern); path != "" {
				return path
			}
		}
	}
	return ""
}

// newestLibrary returns the library in dir with the highest version whose name matches
// the pattern. It ignores files that are not ELF, such as scripts for the static
// linker.
func newestLibrary(dir, pattern string) string {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return ""
	}
	sort.Slice(found, func(i, j int) bool {
		return slices.Compare(libraryVersion(found[i]), libraryVersion(found[j])) > 0
	})
	for _, path := range found {
		if x, err := Open(path); err == nil {
			x.Close()
			return path
		}
	}
	return ""
}

// libraryVersion returns the numbers after ".so." in a library's file name.
func libraryVersion(path string) (version []int) {
	_, text, _ := strings.Cut(filepath.Base(path), ".so.")
	for part := range strings.SplitSeq(text, ".") {
		n, _ := strconv.Atoi(part)
		version = append(version, n)
	}
	return version
}

// findInCache looks up a library in the content of ld.so.cache, in the format of glibc
// 2.2 and later, of programs with a root directory. The format has a header of 48 bytes
// with the number of entries at offset 20, followed by entries of 24 bytes (flags, offset
// of the name, offset of the path and others). Offsets are relative to the header. A cache
// in an older format may precede it.
func findInCache(root string, cache []byte, name string) string {
	magic := []byte("glibc-ld.so.cache1.1")
	i := bytes.Index(cache, magic)
	if i < 0 {
		return ""
	}
	cache = cache[i:]
	if len(cache) < 48 {
		return ""
	}
	order := binary.LittleEndian // on both supported architectures
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
		path := filepath.Join(root, text(order.Uint32(e[8:])))
		if x, err := Open(path); err == nil { // fails for libraries of 32-bit programs
			x.Close()
			if real, err := filepath.EvalSymlinks(path); err == nil && root == "/" {
				path = real
			}
			return path
		}
	}
	return ""
}

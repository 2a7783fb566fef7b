package binary

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are searched if the linker cache does not have a library.
var libraryDirs = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}

// FindLibrary returns the path of a library that the dynamic linker knows by its
// file name, with or without ".so" and what follows it; "" if there is none.
func FindLibrary(name string) string {
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
		if x, err := Open(path); err == nil { // skips libraries of 32-bit programs
			x.Close()
			if real, err := filepath.EvalSymlinks(path); err == nil {
				path = real
			}
			return path
		}
	}
	return ""
}

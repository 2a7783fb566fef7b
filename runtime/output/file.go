package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// File is a file for results. A regular file gets its name only once it is complete, so
// that a failure leaves no part of a file. Devices, pipes and open file descriptors are
// written directly.
type File struct {
	*os.File
	name string // path of the regular file; "": the file is written directly
	temp string // its name until it is complete; "": it has none
}

// CreateFile opens a file for results. The caller must call Commit or Discard.
func CreateFile(name string) (*File, error) {
	at, mode, err := locate(name)
	if err != nil {
		return nil, err
	}
	if n, ok := Descriptor(at); ok {
		fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		return &File{File: os.NewFile(uintptr(fd), name)}, nil
	}
	if !mode.IsRegular() {
		// Without O_NONBLOCK, opening a pipe would wait for a reader, perhaps forever.
		f, err := os.OpenFile(at, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, unix.ENXIO) {
			err = errors.New("no process has the pipe open for reading")
		}
		if err != nil {
			return nil, err
		}
		return &File{File: f}, nil
	}
	f := &File{name: at}
	// The kernel removes a file without a name even if the process is killed.
	f.File, err = os.OpenFile(filepath.Dir(at), os.O_RDWR|unix.O_TMPFILE, 0o644)
	if err != nil { // not all file systems support this
		err = f.temporary(func(temp string) (err error) {
			f.File, err = os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
			return err
		})
	}
	if err == nil && mode != 0 {
		if err = f.Chmod(mode.Perm()); err != nil {
			f.Discard()
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// temporary calls create with unused names next to the file, until one does not exist. It
// sets f.temp to that name.
func (f *File) temporary(create func(temp string) error) error {
	for n := 0; ; n++ {
		temp := filepath.Join(filepath.Dir(f.name), fmt.Sprintf(".%.200s-%d-%d", filepath.Base(f.name), os.Getpid(), n))
		err := create(temp)
		if errors.Is(err, fs.ErrExist) && n < 100 {
			continue
		}
		if err == nil {
			f.temp = temp
		}
		return err
	}
}

// CheckFile returns the error that CreateFile would return, if it can be determined in
// advance. It does not open pipes, because their readers may not have started yet.
func CheckFile(name string) error {
	at, mode, err := locate(name)
	if err != nil {
		return err
	}
	if _, ok := Descriptor(at); !ok && !mode.IsRegular() {
		return unix.Access(at, unix.W_OK)
	}
	f, err := CreateFile(name)
	if err == nil {
		f.Discard()
	}
	return err
}

// WriteFile calls write to write a file.
func WriteFile(name string, write func(f *os.File) error) error {
	f, err := CreateFile(name)
	if err != nil {
		return err
	}
	if err := write(f.File); err != nil {
		f.Discard()
		return err
	}
	return f.Commit()
}

// Commit completes the file, and gives it its name.
func (f *File) Commit() error {
	if f.name == "" {
		return f.Close()
	}
	err := f.Sync()
	if err == nil && f.temp == "" {
		err = f.temporary(func(temp string) error {
			return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, temp, unix.AT_SYMLINK_FOLLOW)
		})
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.temp, f.name)
	}
	if err != nil && f.temp != "" {
		os.Remove(f.temp)
	}
	return err
}

// Discard closes the file, and removes it if it is a regular one.
func (f *File) Discard() {
	f.Close()
	if f.temp != "" {
		os.Remove(f.temp)
	}
}

// locate follows symbolic links. It returns the path and the mode of the file, which is 0
// if the file does not exist, and an error if no results can be written there.
func locate(name string) (path string, mode fs.FileMode, err error) {
	if name == "" {
		return "", 0, errors.New("the name is empty")
	}
	if _, ok := Descriptor(name); ok {
		return name, 0, nil
	}
	path = name
	for range 40 {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
		if _, ok := Descriptor(path); ok {
			return path, 0, nil
		}
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, 0, nil
	case err != nil:
		return "", 0, err
	case st.IsDir():
		return "", 0, errors.New("it is a directory")
	case st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0:
		return "", 0, errors.New("it is a disk")
	case st.Mode()&fs.ModeSocket != 0:
		return "", 0, errors.New("it is a socket")
	}
	return path, st.Mode(), unix.Access(path, unix.W_OK)
}

// Descriptor returns the number of the open file that a name stands for: "-" and
// /dev/stdout for standard output, /dev/fd/3 for number 3.
func Descriptor(name string) (fd int, ok bool) {
	switch name {
	case "-", "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if text, ok := strings.CutPrefix(name, dir); ok {
			n, err := strconv.Atoi(text)
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}

// SameFile reports whether two names stand for one file.
func SameFile(a, b string) bool {
	a, _, aerr := locate(a)
	b, _, berr := locate(b)
	if aerr != nil || berr != nil {
		return false
	}
	m, aopen := Descriptor(a)
	n, bopen := Descriptor(b)
	if aopen && bopen {
		return m == n
	}
	s, aerr := os.Stat(a)
	t, berr := os.Stat(b)
	if aerr == nil && berr == nil {
		return os.SameFile(s, t) && s.Mode()&fs.ModeDevice == 0
	}
	a, _ = filepath.Abs(a)
	b, _ = filepath.Abs(b)
	return a == b
}

package runtime

import (
	"bytes"
	"encoding/binary"
	"os"
	gort "runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// The stub is the program that a child runs before it executes the traced one. It
// is a one-page ELF file with the machine code in stub_*.s. The stub takes its first
// argument as the name of the process, reads a byte from descriptor 3, marks that
// descriptor close-on-exec and executes the program named by its second argument with
// the third and later arguments. At end of file it exits. If execve fails, it sends
// errno back as a u64.

// stubSize bounds the size of the stub's code. Bytes copied from after its end
// never run.
const stubSize = 512

// stubFile returns an executable in-memory file that contains the stub.
func stubFile() (*os.File, error) {
	const name = "gotrace-child"
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3, where all memory files are executable
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, outline.Errorf("memfd_create: %w", err)
	}
	// Move the file to a high descriptor: in the child, descriptors 0 to 3 become
	// the standard streams and the socket before this file is executed by its
	// number.
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 16)
	unix.Close(fd)
	if err == unix.EINVAL { // the limit of open files is below 16
		err = unix.EMFILE
	}
	if err != nil {
		return nil, err
	}
	fd = high
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(stubELF()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func stubELF() []byte {
	const base, header = 0x400000, 64 + 56
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[gort.GOARCH]
	code := unsafe.Slice((*byte)(stubCode()), stubSize)
	le := binary.LittleEndian
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		uint16(2), machine, uint32(1), // executable
		uint64(base + header), uint64(64), uint64(0), // entry, program headers, sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), // load, read and execute
		uint64(0), uint64(base), uint64(base),
		uint64(header + stubSize), uint64(header + stubSize), uint64(4096),
	} {
		binary.Write(&b, le, v)
	}
	b.Write(code)
	return b.Bytes()
}

// stubCode returns the address of the stub's code.
func stubCode() unsafe.Pointer

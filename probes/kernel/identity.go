package kernel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Identity returns a text that is the same for two kernels only if they are the same
// build: release, version, and the notes of the image, which contain its build ID. It
// returns "" for a frozen kernel.
func (k *Kernel) Identity() string {
	var u unix.Utsname
	if !k.src.live() || unix.Uname(&u) != nil {
		return ""
	}
	notes, err := os.ReadFile("/sys/kernel/notes")
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("%s\n%s\n%s\n%s", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:]), notes)
	if st, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		text += fmt.Sprint(st.Size())
	}
	return digest(text)
}

// Boot returns a text that differs after each boot. It returns "" for a frozen
// kernel.
func (k *Kernel) Boot() string {
	if !k.src.live() {
		return ""
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// ModuleSet returns a text that changes if other modules are loaded, or the same ones
// at other addresses.
func (k *Kernel) ModuleSet() string {
	text, err := k.src.read("modules")
	if err != nil {
		return digest("")
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(text)) {
		// name size references users state address
		if f := strings.Fields(line); len(f) >= 6 {
			b.WriteString(f[0] + " " + f[1] + " " + f[5] + "\n")
		}
	}
	return digest(b.String())
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

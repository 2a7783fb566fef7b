package cgroups

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Container describes a container, according to the files of its runtime.
type Container struct {
	ID    string
	Name  string // "" if unknown
	Image string // without a tag or a digest; "" if unknown
	// Ref is the image from which the container was created, and ImageID its ID, both as
	// in the lists of containers of Podman and CRI-O; "" if unknown.
	Ref, ImageID string
	// Namespace and Pod are the names of the Kubernetes or Podman pod, "" if there is
	// none. PodUID is as in Owner.
	Namespace, Pod, PodUID string
	// Labels are the labels of the container, or the annotations that its runtime stores.
	// CRI-O stores the labels in an annotation.
	Labels map[string]string

	pid int // its first process, in the pid namespace of the runtime; 0 if unknown
}

// PodName returns the name of the container's pod: NAMESPACE/POD in Kubernetes.
func (c *Container) PodName() string {
	if c.Namespace != "" && c.Pod != "" {
		return c.Namespace + "/" + c.Pod
	}
	return c.Pod
}

// String returns the container's names and the beginning of its ID.
func (c *Container) String() string {
	name := c.Name
	if pod := c.PodName(); pod != "" {
		name = pod + "/" + name
	}
	id := Short(c.ID)
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}

// Short returns an ID as runtimes show it.
//
//go:noinline
func Short(id string) string {
	if isID(id) {
		return id[:12]
	}
	return id
}

// maxState is the size in bytes up to which state files are read.
const maxState = 16 << 20

// Containers reads the state files of Docker, containerd (also as part of k3s and
// microk8s, and with nerdctl), CRI-O and Podman below root. It returns the containers
// by ID. It leaves out files that cannot be read or parsed.
func Containers(root string) map[string]*Container {
	s := states{root: root, byID: map[string]*Container{}}
	s.docker()
	s.containerd()
	s.nerdctl()
	s.storage()
	return s.byID
}

type states struct {
	root string
	byID map[string]*Container
}

func (s *states) glob(pattern string) []string {
	list, _ := filepath.Glob(filepath.Join(s.root, pattern))
	return list
}

// of returns the container with an ID. It adds one if there is none.
//
//go:noinline
func (s *states) of(id string) *Container {
	if s.byID[id] == nil {
		s.byID[id] = &Container{ID: id}
	}
	return s.byID[id]
}

// ReadJSON decodes a state file into a value. It reports whether it succeeded. It opens
// only regular files of at most 16 MB.
func ReadJSON(path string, into any) bool {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxState {
		return false
	}
	data, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(data, into) == nil
}

// docker reads config.v2.json of each container, both of the system's daemon and of the
// users' rootless daemons. The directory is the daemon's data-root, by default
// /var/lib/docker.
func (s *states) docker() {
	var daemon struct {
		DataRoot string `json:"data-root"`
		Graph    string `json:"graph"` // its former name
	}
	ReadJSON(filepath.Join(s.root, "/etc/docker/daemon.json"), &daemon)
	dir := cmp.Or(daemon.DataRoot, daemon.Graph, "/var/lib/docker")
	var list []string
	for _, dir := range []string{dir, "/home/*/.local/share/docker"} {
		list = append(list, s.glob(dir+"/containers/*/config.v2.json")...)
	}
	for _, path := range list {
		var c struct {
			ID, Name string
			State    struct{ Pid int }
			Config   struct {
				Image  string
				Labels map[string]string
			}
		}
		if ReadJSON(path, &c) && c.ID != "" {
			into := s.of(c.ID)
			into.Name, into.pid = strings.TrimPrefix(c.Name, "/"), c.State.Pid
			into.Image = repository(c.Config.Image)
			into.annotate(c.Config.Labels)
		}
	}
}

// annotate sets the names that Kubernetes runtimes put into the annotations or labels
// of a container.
func (c *Container) annotate(a map[string]string) {
	if c.Labels == nil {
		c.Labels = a
	}
	if text := a["io.kubernetes.cri-o.Labels"]; text != "" {
		json.Unmarshal([]byte(text), &c.Labels)
	}
	for _, f := range []struct {
		into *string
		keys []string
	}{
		{&c.Name, []string{"io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"}},
		{&c.Pod, []string{"io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"}},
		{&c.Namespace, []string{"io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"}},
		{&c.Image, []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "org.opencontainers.image.ref.name"}},
		{&c.PodUID, []string{"io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"}},
	} {
		for _, key := range f.keys {
			if v := a[key]; v != "" {
				*f.into = v
				break
			}
		}
	}
	c.Image = repository(c.Image)
}

// repository returns the name of an image without its tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

// ociConfig is the part of a container's config.json that is read.
type ociConfig struct{ Annotations map[string]string }

// containerd reads the directories of running tasks: NAMESPACE/ID with config.json and
// init.pid.
func (s *states) containerd() {
	for _, run := range []string{"/run/containerd", "/run/k3s/containerd", "/var/snap/microk8s/common/run/containerd", "/run/docker/containerd"} {
		for _, dir := range s.glob(run + "/io.containerd.runtime.v*/*/*") {
			if st, err := os.Stat(dir); err != nil || !st.IsDir() {
				continue
			}
			c := s.of(filepath.Base(dir))
			if text, err := os.ReadFile(dir + "/init.pid"); err == nil {
				c.pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			}
			var spec ociConfig
			if ReadJSON(dir+"/config.json", &spec) {
				c.annotate(spec.Annotations)
			}
			if c.Name == "" && !isID(c.ID) { // ctr uses the name that the user chose as the ID
				c.Name = c.ID
			}
		}
	}
}

// nerdctl reads /var/lib/nerdctl/HASH/names/NAMESPACE/NAME: each file contains an ID.
func (s *states) nerdctl() {
	for _, path := range s.glob("/var/lib/nerdctl/*/names/*/*") {
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || st.Size() > 2*idLen {
			continue
		}
		if text, err := os.ReadFile(path); err == nil && isID(strings.TrimSpace(string(text))) {
			s.of(strings.TrimSpace(string(text))).Name = filepath.Base(path)
		}
	}
}

// storage reads the files of the library that CRI-O and Podman share: lists of
// containers, and a config.json for each of them.
func (s *states) storage() {
	for _, dir := range []string{"/var/lib/containers/storage", "/run/containers/storage", "/home/*/.local/share/containers/storage", "/run/user/*/containers"} {
		for _, path := range append(s.glob(dir+"/*-containers/containers.json"), s.glob(dir+"/*-containers/volatile-containers.json")...) {
			var list []struct {
				ID       string
				Names    []string
				Metadata string // JSON in a text
			}
			if !ReadJSON(path, &list) {
				continue
			}
			for _, c := range list {
				if c.ID == "" {
					continue
				}
				into := s.of(c.ID)
				if len(c.Names) > 0 && into.Name == "" {
					into.Name = c.Names[0]
				}
				var image struct {
					Name string `json:"image-name"`
					ID   string `json:"image-id"`
				}
				if json.Unmarshal([]byte(c.Metadata), &image) == nil && image.Name != "" {
					into.Ref, into.ImageID, into.Image = image.Name, image.ID, repository(image.Name)
				}
			}
		}
		for _, path := range s.glob(dir + "/*-containers/*/userdata/config.json") {
			var spec ociConfig
			if ReadJSON(path, &spec) {
				s.of(filepath.Base(filepath.Dir(filepath.Dir(path)))).annotate(spec.Annotations)
			}
		}
	}
}

// sorted returns containers by their names.
func sorted(list []*Container) []*Container {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i].String(), list[j].String()
		return a < b || a == b && list[i].ID < list[j].ID
	})
	return list
}

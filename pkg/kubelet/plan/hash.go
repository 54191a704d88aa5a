package plan

import (
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
)

// Hash names what makes a running container another one than its spec asks for: the name and the image, the only
// fields of a container that may change.
func Hash(c *corev1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	return fmt.Sprintf("%x", h.Sum32())
}

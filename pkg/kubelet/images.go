package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/plan"
)

// puller sees to it that images are there.
type puller struct {
	k *kubelet
	// slots bounds how many pulls run beside each other.
	slots chan struct{}
}

// parallelPulls keeps a slow registry from holding up every pod, and many pulls from filling the disk's queue.
const parallelPulls = 4

func newPuller(k *kubelet) *puller { return &puller{k, make(chan struct{}, parallelPulls)} }

// The delays between attempts to get an image.
const (
	firstPullBackOff = 10 * time.Second
	maxPullBackOff   = 5 * time.Minute
)

// imageError is why an image is not there; reason is that of the container's waiting state.
type imageError struct{ reason, message string }

func (e *imageError) Error() string { return e.message }

// ensure returns the reference of the container's image, which is there then, as its pull policy asks.
func (p *puller) ensure(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (string, *imageError) {
	name, err := normalize(c.Image)
	if err != nil {
		msg := fmt.Sprintf("Failed to apply default image tag %q: %v", c.Image, err)
		p.k.events.container(pod, c.Name, warning, "InspectFailed", "%s", msg)
		p.k.events.container(pod, c.Name, warning, "Failed", "Error: InvalidImageName")
		return "", &imageError{"InvalidImageName", msg}
	}
	have, err := p.k.runtime.Image(ctx, name)
	if err != nil {
		msg := fmt.Sprintf("Failed to inspect image %q: %v", c.Image, err)
		p.k.events.container(pod, c.Name, warning, "InspectFailed", "%s", msg)
		p.k.events.container(pod, c.Name, warning, "Failed", "Error: ImageInspectError")
		return "", &imageError{"ImageInspectError", msg}
	}
	switch {
	case c.ImagePullPolicy == corev1.PullNever && have == nil:
		msg := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		p.k.events.container(pod, c.Name, warning, "ErrImageNeverPull", "%s", msg)
		p.k.events.container(pod, c.Name, warning, "Failed", "Error: ErrImageNeverPull")
		return "", &imageError{"ErrImageNeverPull", msg}
	case have != nil && c.ImagePullPolicy != corev1.PullAlways:
		p.k.events.container(pod, c.Name, normal, "Pulled", "Container image %q already present on machine and can be accessed by the pod", c.Image)
		return have.Id, nil
	}
	return p.pull(ctx, pod, c, name)
}

func (p *puller) pull(ctx context.Context, pod *corev1.Pod, c *corev1.Container, name string) (string, *imageError) {
	asked := time.Now()
	p.k.events.container(pod, c.Name, normal, "Pulling", "Pulling image %q", c.Image)
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return "", &imageError{"ErrImagePull", ctx.Err().Error()}
	}
	begun := time.Now()
	ref, err := p.withSecrets(ctx, pod, name)
	if err != nil {
		p.k.events.container(pod, c.Name, warning, "Failed", "Failed to pull image %q: %v", c.Image, err)
		p.k.events.container(pod, c.Name, warning, "Failed", "Error: ErrImagePull")
		return "", &imageError{"ErrImagePull", err.Error()}
	}
	size := uint64(0)
	if got, err := p.k.runtime.Image(ctx, ref); err == nil && got != nil {
		size = got.Size
	}
	p.k.events.container(pod, c.Name, normal, "Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		c.Image, time.Since(begun).Truncate(time.Millisecond), time.Since(asked).Truncate(time.Millisecond), size)
	return ref, nil
}

// withSecrets pulls with each of the pod's credentials for that registry in turn, or without if there are none.
func (p *puller) withSecrets(ctx context.Context, pod *corev1.Pod, name string) (ref string, err error) {
	auths := p.credentials(pod, name)
	if len(auths) == 0 {
		auths = []*runtimev1.AuthConfig{nil}
	}
	for _, auth := range auths {
		if ref, err = p.k.runtime.PullImage(ctx, name, auth, nil); err == nil {
			return ref, nil
		}
	}
	return "", err
}

// normalize adds the tag that an image without tag and digest means.
func normalize(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	if reference.IsNameOnly(named) {
		return image + ":latest", nil
	}
	return image, nil
}

// credentials returns what the pod's imagePullSecrets have for the image's registry, the longest match first.
func (p *puller) credentials(pod *corev1.Pod, image string) (out []*runtimev1.AuthConfig) {
	for _, r := range pod.Spec.ImagePullSecrets {
		s, err := p.k.Secret(pod.Namespace, r.Name)
		if err != nil {
			p.k.events.pod(pod, warning, "FailedToRetrieveImagePullSecret",
				"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", r.Name)
			continue
		}
		out = append(out, matching(dockerConfig(s), image)...)
	}
	return out
}

// dockerAuth is one entry of a docker configuration.
type dockerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
	Token    string `json:"identitytoken"`
}

func dockerConfig(s *corev1.Secret) map[string]dockerAuth {
	if raw, ok := s.Data[corev1.DockerConfigJsonKey]; ok {
		var c struct {
			Auths map[string]dockerAuth `json:"auths"`
		}
		if json.Unmarshal(raw, &c) == nil {
			return c.Auths
		}
	}
	old := map[string]dockerAuth{}
	if json.Unmarshal(s.Data[corev1.DockerConfigKey], &old) != nil {
		return nil
	}
	return old
}

// matching returns the entries whose registry, or path in it, the image begins with. They do not say for which server they
// are, as upstream's do not: containerd would take a name with a port for a broken URL.
func matching(auths map[string]dockerAuth, image string) (out []*runtimev1.AuthConfig) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil
	}
	for server, a := range auths {
		place := strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://")
		place = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(place, "/"), "/v1"), "/v2")
		if place == "index.docker.io" {
			place = "docker.io"
		}
		if named.Name() == place || strings.HasPrefix(named.Name(), place+"/") {
			out = append(out, &runtimev1.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.Token})
		}
	}
	return out
}

// pullFailure is an image error with the time of the next attempt.
func pullFailure(e *imageError, delay time.Duration, now time.Time) *plan.Failure {
	return &plan.Failure{Reason: e.reason, Message: e.message, Retry: now.Add(delay)}
}

// message is the text of a runtime's error as upstream shows it.
func message(err error) string { return cri.Message(err) }

package volume

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// collector gathers the files of one volume from its sources.
type collector struct {
	m    *Manager
	pod  *corev1.Pod
	ips  []string
	now  time.Time
	mode os.FileMode
	out  content
	// again is when the earliest token wants renewal.
	again time.Time
}

// content returns what a volume should hold now.
func (m *Manager) content(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, ips []string, now time.Time) (content, time.Time, error) {
	c := &collector{m: m, pod: pod, ips: ips, now: now, out: content{}}
	var err error
	switch {
	case v.ConfigMap != nil:
		c.setMode(v.ConfigMap.DefaultMode)
		err = c.configMap(v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		c.setMode(v.Secret.DefaultMode)
		err = c.secret(v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		c.setMode(v.DownwardAPI.DefaultMode)
		err = c.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		c.setMode(v.Projected.DefaultMode)
		err = c.projected(ctx, v.Projected.Sources)
	}
	c.group()
	return c.out, c.again, err
}

func (c *collector) setMode(m *int32) {
	c.mode = 0o644
	if m != nil {
		c.mode = os.FileMode(*m)
	}
}

// group gives every file the pod's group, which may read it.
func (c *collector) group() {
	sc := c.pod.Spec.SecurityContext
	if sc == nil || sc.FSGroup == nil {
		return
	}
	for path, f := range c.out {
		f.gid, f.mode = int(*sc.FSGroup), f.mode|0o440
		c.out[path] = f
	}
}

func (c *collector) add(path string, data []byte, mode *int32) {
	f := file{data: data, mode: c.mode, uid: -1, gid: -1}
	if mode != nil {
		f.mode = os.FileMode(*mode)
	}
	c.out[path] = f
}

func optionalMissing(err error, optional *bool) bool {
	return apierrors.IsNotFound(err) && optional != nil && *optional
}

func (c *collector) configMap(name string, items []corev1.KeyToPath, optional *bool) error {
	o, err := c.m.Objects.ConfigMap(c.pod.Namespace, name)
	if optionalMissing(err, optional) {
		return nil
	}
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for k, v := range o.Data {
		data[k] = []byte(v)
	}
	for k, v := range o.BinaryData {
		data[k] = v
	}
	return c.keys(data, items, optional)
}

func (c *collector) secret(name string, items []corev1.KeyToPath, optional *bool) error {
	o, err := c.m.Objects.Secret(c.pod.Namespace, name)
	if optionalMissing(err, optional) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.keys(o.Data, items, optional)
}

// keys adds the keys that items names at their paths, or all of them at their own.
func (c *collector) keys(data map[string][]byte, items []corev1.KeyToPath, optional *bool) error {
	if len(items) == 0 {
		for k, v := range data {
			c.add(k, v, nil)
		}
		return nil
	}
	for _, i := range items {
		v, ok := data[i.Key]
		if !ok && optional != nil && *optional {
			continue
		}
		if !ok {
			return fmt.Errorf("references non-existent config key: %s", i.Key)
		}
		c.add(i.Path, v, i.Mode)
	}
	return nil
}

func (c *collector) downward(items []corev1.DownwardAPIVolumeFile) error {
	for _, i := range items {
		var value string
		var err error
		switch {
		case i.FieldRef != nil:
			value, err = c.m.Node.Field(c.pod, i.FieldRef.FieldPath, c.ips)
		case i.ResourceFieldRef != nil:
			value, err = c.m.Node.Resource(c.pod, &corev1.Container{}, i.ResourceFieldRef)
		}
		if err != nil {
			return err
		}
		c.add(i.Path, []byte(value), i.Mode)
	}
	return nil
}

func (c *collector) projected(ctx context.Context, sources []corev1.VolumeProjection) error {
	for _, s := range sources {
		var err error
		switch {
		case s.ConfigMap != nil:
			err = c.configMap(s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
		case s.Secret != nil:
			err = c.secret(s.Secret.Name, s.Secret.Items, s.Secret.Optional)
		case s.DownwardAPI != nil:
			err = c.downward(s.DownwardAPI.Items)
		case s.ServiceAccountToken != nil:
			err = c.token(ctx, s.ServiceAccountToken)
		default:
			err = fmt.Errorf("a projected source other than configMap, secret, downwardAPI and serviceAccountToken is not supported by this node yet")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// token adds a service account token. Only who runs in the pod may read it: its group, or its user if all its
// containers run as the same one; if neither is known, the volume's mode decides.
func (c *collector) token(ctx context.Context, p *corev1.ServiceAccountTokenProjection) error {
	token, renew, err := c.m.Tokens.Get(ctx, c.pod, p, c.now)
	if err != nil {
		return err
	}
	if c.again.IsZero() || renew.Before(c.again) {
		c.again = renew
	}
	f := file{data: []byte(token), mode: c.mode, uid: -1, gid: -1}
	sc := c.pod.Spec.SecurityContext
	if user := onlyUser(c.pod); user != nil {
		f.mode, f.uid = 0o600, int(*user)
	} else if sc != nil && sc.FSGroup != nil {
		f.mode = 0o600
	}
	c.out[p.Path] = f
	return nil
}

// onlyUser returns the user that every container runs as, or nil.
func onlyUser(pod *corev1.Pod) *int64 {
	var only *int64
	for _, ctr := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		var user *int64
		if pod.Spec.SecurityContext != nil {
			user = pod.Spec.SecurityContext.RunAsUser
		}
		if ctr.SecurityContext != nil && ctr.SecurityContext.RunAsUser != nil {
			user = ctr.SecurityContext.RunAsUser
		}
		if user == nil || only != nil && *only != *user {
			return nil
		}
		only = user
	}
	return only
}

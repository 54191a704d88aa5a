package spec

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Env returns the container's environment: envFrom, then env, then the variables of services that neither of them
// sets. A variable may refer to those before it with $(NAME).
func (n *Node) Env(o Objects, pod *corev1.Pod, c *corev1.Container, podIPs []string) ([]corev1.EnvVar, error) {
	e := &env{node: n, objects: o, pod: pod, container: c, ips: podIPs, values: map[string]string{}}
	services, err := serviceEnv(o, pod)
	if err != nil {
		return nil, err
	}
	e.services = services
	for i := range c.EnvFrom {
		if err := e.from(&c.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range c.Env {
		if err := e.variable(&c.Env[i]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if _, set := e.values[name]; !set {
			e.set(name, services[name])
		}
	}
	out := make([]corev1.EnvVar, 0, len(e.names))
	for _, name := range e.names {
		out = append(out, corev1.EnvVar{Name: name, Value: e.values[name]})
	}
	return out, nil
}

// env is the environment while it is built; names keeps the order of first setting.
type env struct {
	node      *Node
	objects   Objects
	pod       *corev1.Pod
	container *corev1.Container
	ips       []string
	services  map[string]string
	names     []string
	values    map[string]string
}

func (e *env) set(name, value string) {
	if _, had := e.values[name]; !had {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *env) lookup(name string) (string, bool) {
	if v, ok := e.values[name]; ok {
		return v, true
	}
	v, ok := e.services[name]
	return v, ok
}

// from sets a variable for each key of a config map or secret.
func (e *env) from(src *corev1.EnvFromSource) error {
	switch {
	case src.ConfigMapRef != nil:
		m, err := e.objects.ConfigMap(e.pod.Namespace, src.ConfigMapRef.Name)
		if skip, err := missing(err, src.ConfigMapRef.Optional); skip || err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(m.Data)) {
			e.set(src.Prefix+k, m.Data[k])
		}
	case src.SecretRef != nil:
		s, err := e.objects.Secret(e.pod.Namespace, src.SecretRef.Name)
		if skip, err := missing(err, src.SecretRef.Optional); skip || err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(s.Data)) {
			e.set(src.Prefix+k, string(s.Data[k]))
		}
	}
	return nil
}

// missing tells whether an object that was not found may be left out.
func missing(err error, optional *bool) (skip bool, _ error) {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return true, nil
	}
	return false, err
}

func (e *env) variable(v *corev1.EnvVar) error {
	if v.ValueFrom == nil {
		e.set(v.Name, Expand(v.Value, e.lookup))
		return nil
	}
	value, ok, err := e.source(v.ValueFrom)
	if err != nil {
		return err
	}
	if ok {
		e.set(v.Name, value)
	}
	return nil
}

// source returns the value that a variable refers to; ok is false for an optional one that is not there.
func (e *env) source(s *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case s.FieldRef != nil:
		value, err = e.node.Field(e.pod, s.FieldRef.FieldPath, e.ips)
		return value, true, err
	case s.ResourceFieldRef != nil:
		value, err = e.node.Resource(e.pod, e.container, s.ResourceFieldRef)
		return value, true, err
	case s.ConfigMapKeyRef != nil:
		return e.configMapKey(s.ConfigMapKeyRef)
	case s.SecretKeyRef != nil:
		return e.secretKey(s.SecretKeyRef)
	}
	return "", false, fmt.Errorf("an environment variable from a file (fileKeyRef) is not supported by this node")
}

func (e *env) configMapKey(r *corev1.ConfigMapKeySelector) (string, bool, error) {
	m, err := e.objects.ConfigMap(e.pod.Namespace, r.Name)
	if skip, err := missing(err, r.Optional); skip || err != nil {
		return "", false, err
	}
	if v, ok := m.Data[r.Key]; ok {
		return v, true, nil
	}
	if r.Optional != nil && *r.Optional {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", r.Key, e.pod.Namespace, r.Name)
}

func (e *env) secretKey(r *corev1.SecretKeySelector) (string, bool, error) {
	s, err := e.objects.Secret(e.pod.Namespace, r.Name)
	if skip, err := missing(err, r.Optional); skip || err != nil {
		return "", false, err
	}
	if v, ok := s.Data[r.Key]; ok {
		return string(v), true, nil
	}
	if r.Optional != nil && *r.Optional {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", r.Key, e.pod.Namespace, r.Name)
}

package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes validates the volumes, and notes the valid ones for the mounts to refer to.
func (c *podCheck) validateVolumes(path *field.Path) field.ErrorList {
	var all field.ErrorList
	names, made := taken{}, c.claimsMade()
	for i := range c.spec.Volumes {
		v, path := &c.spec.Volumes[i], path.Index(i)
		errs := join(c.volumeSource(v, path), present(v.Name, path.Child("name")))
		if v.Name != "" {
			errs = append(errs, dnsLabel(v.Name, path.Child("name"))...)
		}
		errs = append(errs, when(names[v.Name], field.Duplicate(path.Child("name"), v.Name))...)
		if len(errs) == 0 {
			names.claim(v.Name)
			c.volumes[v.Name] = &v.VolumeSource
		}
		all = append(all, errs...)
		if p := v.PersistentVolumeClaim; p != nil && made[p.ClaimName] {
			all = append(all, field.Invalid(path.Child("persistentVolumeClaim", "claimName"), p.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
	return all
}

// claimsMade are the names of the claims that will be made for this pod, once its own name is known.
func (c *podCheck) claimsMade() taken {
	made := taken{}
	for _, v := range c.spec.Volumes {
		if v.Ephemeral != nil && c.podName != "" {
			made.claim(c.podName + "-" + v.Name)
		}
	}
	return made
}

// source is one kind of volume in the order of the API: present if set, with its check.
type source struct {
	name  string
	set   bool
	check func() field.ErrorList
}

// sourceOf makes a source from the pointer in a VolumeSource.
func sourceOf[T any](p *T, name string, path *field.Path, check func(*T, *field.Path) field.ErrorList) source {
	return source{name, p != nil, func() field.ErrorList { return check(p, path.Child(name)) }}
}

// onlyOne checks the first source that is set, refuses any further, and counts them.
func onlyOne(all []source, path *field.Path, refusal string) (errs field.ErrorList, count int) {
	for _, s := range all {
		switch {
		case !s.set:
			continue
		case count == 0:
			errs = append(errs, s.check()...)
		default:
			errs = append(errs, field.Forbidden(path.Child(s.name), refusal))
		}
		count++
	}
	return errs, count
}

// checkSet checks all sources that are set, and counts them.
func checkSet(all []source) (errs field.ErrorList, count int) {
	for _, s := range all {
		if s.set {
			count++
			errs = append(errs, s.check()...)
		}
	}
	return errs, count
}

// volumeSource wants exactly one source.
func (c *podCheck) volumeSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	all := append(c.commonSources(v, path), rareSources(v, path)...)
	errs, count := onlyOne(all, path, "may not specify more than 1 volume type")
	return append(errs, when(count == 0, field.Required(path, "must specify a volume type"))...)
}

// commonSources are those that every cluster has.
func (c *podCheck) commonSources(v *corev1.Volume, path *field.Path) []source {
	s := &v.VolumeSource
	return []source{
		sourceOf(s.EmptyDir, "emptyDir", path, emptyDirVolume),
		sourceOf(s.HostPath, "hostPath", path, hostPathVolume),
		sourceOf(s.GitRepo, "gitRepo", path, gitRepoVolume),
		sourceOf(s.Secret, "secret", path, secretVolume),
		sourceOf(s.NFS, "nfs", path, nfsVolume),
		sourceOf(s.PersistentVolumeClaim, "persistentVolumeClaim", path, claimVolume),
		sourceOf(s.DownwardAPI, "downwardAPI", path, downwardVolume),
		sourceOf(s.ConfigMap, "configMap", path, configMapVolume),
		sourceOf(s.Projected, "projected", path, projectedVolume),
		sourceOf(s.CSI, "csi", path, csiVolume),
		sourceOf(s.Ephemeral, "ephemeral", path, func(e *corev1.EphemeralVolumeSource, at *field.Path) field.ErrorList {
			return join(ephemeralVolume(e, at), c.ephemeralName(v.Name, path.Child("name")))
		}),
		sourceOf(s.Image, "image", path, c.imageVolume),
	}
}

func emptyDirVolume(e *corev1.EmptyDirVolumeSource, path *field.Path) field.ErrorList {
	negative := e.SizeLimit != nil && e.SizeLimit.Cmp(resource.Quantity{}) < 0
	return when(negative, field.Forbidden(path.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
}

func hostPathVolume(h *corev1.HostPathVolumeSource, path *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(path.Child("path"), "")}
	}
	errs := noBacksteps(h.Path, path.Child("path"))
	if h.Type != nil {
		errs = append(errs, oneOf(*h.Type, path.Child("type"),
			corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

func gitRepoVolume(g *corev1.GitRepoVolumeSource, path *field.Path) field.ErrorList {
	return join(present(g.Repository, path.Child("repository")), descendingPath(g.Directory, path.Child("directory")))
}

func claimVolume(p *corev1.PersistentVolumeClaimVolumeSource, path *field.Path) field.ErrorList {
	return present(p.ClaimName, path.Child("claimName"))
}

// imageVolume lets a template leave the reference to whoever completes its pods.
func (c *podCheck) imageVolume(i *corev1.ImageVolumeSource, path *field.Path) field.ErrorList {
	return join(
		when(c.isPod && i.Reference == "", field.Required(path.Child("reference"), "")),
		pullPolicy(i.PullPolicy, path.Child("pullPolicy")),
	)
}

// ephemeralName wants the claim that is made for the volume to get a valid name.
func (c *podCheck) ephemeralName(volume string, path *field.Path) field.ErrorList {
	if c.podName == "" || volume == "" {
		return nil
	}
	claim := c.podName + "-" + volume
	var all field.ErrorList
	for _, m := range subdomainName(claim, false) {
		all = append(all, field.Invalid(path, volume, fmt.Sprintf("PVC name %q: %v", claim, m)))
	}
	return all
}

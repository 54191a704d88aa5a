package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes validates the volumes, and notes the valid ones for the mounts to refer to.
func (c *podCheck) validateVolumes(path *place) field.ErrorList {
	var all field.ErrorList
	names, made := taken{}, c.claimsMade()
	for i := range c.spec.Volumes {
		v, path := &c.spec.Volumes[i], path.Index(i)
		errs := join(c.volumeSource(v, path), present(v.Name, path.Child("name")))
		if v.Name != "" {
			errs = append(errs, dnsLabel(v.Name, path.Child("name"))...)
		}
		errs = append(errs, when(names[v.Name], duplicateAt(path.Child("name"), v.Name))...)
		if len(errs) == 0 {
			names.claim(v.Name)
			c.volumes[v.Name] = &v.VolumeSource
		}
		all = append(all, errs...)
		if p := v.PersistentVolumeClaim; p != nil && made[p.ClaimName] {
			all = append(all, invalidAt(path.Child("persistentVolumeClaim", "claimName"), p.ClaimName,
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

// volumeSource wants exactly one source.
func (c *podCheck) volumeSource(v *corev1.Volume, path *place) field.ErrorList {
	all := choices{path: path, refusal: "may not specify more than 1 volume type"}
	c.commonSources(&all, v)
	rareSources(&all, v)
	return append(all.errs, when(all.count == 0, requiredAt(path, "must specify a volume type"))...)
}

// commonSources are those that every cluster has.
func (c *podCheck) commonSources(all *choices, v *corev1.Volume) {
	s := &v.VolumeSource
	choose(all, s.EmptyDir, "emptyDir", emptyDirVolume)
	choose(all, s.HostPath, "hostPath", hostPathVolume)
	choose(all, s.GitRepo, "gitRepo", gitRepoVolume)
	choose(all, s.Secret, "secret", secretVolume)
	choose(all, s.NFS, "nfs", nfsVolume)
	choose(all, s.PersistentVolumeClaim, "persistentVolumeClaim", claimVolume)
	choose(all, s.DownwardAPI, "downwarAPI", func(d *corev1.DownwardAPIVolumeSource, _ *place) field.ErrorList {
		return downwardVolume(d, all.path.Child("downwardAPI")) // the API's own slip, where it is one of two
	})
	choose(all, s.ConfigMap, "configMap", configMapVolume)
	choose(all, s.Projected, "projected", projectedVolume)
	choose(all, s.CSI, "csi", csiVolume)
	choose(all, s.Ephemeral, "ephemeral", func(e *corev1.EphemeralVolumeSource, at *place) field.ErrorList {
		return join(ephemeralVolume(e, at), c.ephemeralName(v.Name, all.path.Child("name")))
	})
	choose(all, s.Image, "image", c.imageVolume)
}

func emptyDirVolume(e *corev1.EmptyDirVolumeSource, path *place) field.ErrorList {
	negative := e.SizeLimit != nil && e.SizeLimit.Cmp(resource.Quantity{}) < 0
	return when(negative, forbiddenAt(path.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
}

func hostPathVolume(h *corev1.HostPathVolumeSource, path *place) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{requiredAt(path.Child("path"), "")}
	}
	errs := noBacksteps(h.Path, path.Child("path"))
	if h.Type != nil {
		errs = append(errs, oneOf(*h.Type, path.Child("type"),
			corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

func gitRepoVolume(g *corev1.GitRepoVolumeSource, path *place) field.ErrorList {
	return join(present(g.Repository, path.Child("repository")), descendingPath(g.Directory, path.Child("directory")))
}

func claimVolume(p *corev1.PersistentVolumeClaimVolumeSource, path *place) field.ErrorList {
	return present(p.ClaimName, path.Child("claimName"))
}

// imageVolume lets a template leave the reference to whoever completes its pods.
func (c *podCheck) imageVolume(i *corev1.ImageVolumeSource, path *place) field.ErrorList {
	return join(
		when(c.isPod && i.Reference == "", requiredAt(path.Child("reference"), "")),
		pullPolicy(i.PullPolicy, path.Child("pullPolicy")),
	)
}

// ephemeralName wants the claim that is made for the volume to get a valid name.
func (c *podCheck) ephemeralName(volume string, path *place) field.ErrorList {
	if c.podName == "" || volume == "" {
		return nil
	}
	claim := c.podName + "-" + volume
	var all field.ErrorList
	for _, m := range subdomainName(claim, false) {
		all = append(all, invalidAt(path, volume, fmt.Sprintf("PVC name %q: %v", claim, m)))
	}
	return all
}

package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) volumeMounts(ctr *corev1.Container, path *place) field.ErrorList {
	names, paths := taken{}, taken{}
	for _, d := range ctr.VolumeDevices {
		names.claim(d.Name)
		paths.claim(d.DevicePath)
	}
	mounted := taken{}
	return each(ctr.VolumeMounts, path, func(m *corev1.VolumeMount, at *place) field.ErrorList {
		volume, known := c.volumes[m.Name]
		return join(
			present(m.Name, at.Child("name")),
			when(!known, notFoundAt(at.Child("name"), m.Name)),
			present(m.MountPath, at.Child("mountPath")),
			when(!mounted.claim(m.MountPath), invalidAt(at.Child("mountPath"), m.MountPath, "must be unique")),
			when(names[m.Name], invalidAt(at.Child("name"), m.Name, "must not already exist in volumeDevices")),
			when(paths[m.MountPath], invalidAt(at.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices")),
			subPaths(m, known && volume.Image != nil, at, path),
			propagation(m, ctr, path.Child("mountPropagation")),
			recursiveReadOnly(m, path.Child("recursiveReadOnly")),
		)
	})
}

// subPaths: the paths of some findings name the list and not the item, as the API always did.
func subPaths(m *corev1.VolumeMount, image bool, at, list *place) field.ErrorList {
	var errs field.ErrorList
	if image {
		errs = join(
			when(m.SubPath != "", invalidAt(at.Child("subPath"), m.SubPath, "not allowed in image volume sources")),
			when(m.SubPathExpr != "", invalidAt(at.Child("subPathExpr"), m.SubPathExpr, "not allowed in image volume sources")))
	}
	both := m.SubPath != "" && m.SubPathExpr != ""
	return join(errs,
		descendingPath(m.SubPath, list.Child("subPath")),
		when(both, invalidAt(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")),
		descendingPath(m.SubPathExpr, list.Child("subPathExpr")))
}

func propagation(m *corev1.VolumeMount, ctr *corev1.Container, path *place) field.ErrorList {
	if m.MountPropagation == nil {
		return nil
	}
	errs := oneOf(*m.MountPropagation, path,
		corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	privileged := ctr.SecurityContext != nil && isTrue(ctr.SecurityContext.Privileged)
	return append(errs, when(*m.MountPropagation == corev1.MountPropagationBidirectional && !privileged,
		forbiddenAt(path, "Bidirectional mount propagation is available only to privileged containers"))...)
}

func recursiveReadOnly(m *corev1.VolumeMount, path *place) field.ErrorList {
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return nil
	}
	errs := oneOf(*m.RecursiveReadOnly, path,
		corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	if len(errs) > 0 {
		return errs
	}
	shared := m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone
	return join(
		when(!m.ReadOnly, forbiddenAt(path, "may only be specified when readOnly is true")),
		when(shared, forbiddenAt(path, "may only be specified when mountPropagation is None or not specified")))
}

func (c *podCheck) volumeDevices(ctr *corev1.Container, path *place) field.ErrorList {
	mounts, mountPaths := taken{}, taken{}
	for _, m := range ctr.VolumeMounts {
		mounts.claim(m.Name)
		mountPaths.claim(m.MountPath)
	}
	names, paths := taken{}, taken{}
	return each(ctr.VolumeDevices, path, func(d *corev1.VolumeDevice, path *place) field.ErrorList {
		name, at := path.Child("name"), path.Child("devicePath")
		volume, known := c.volumes[d.Name]
		block := known && (volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil)
		steps := len(noBacksteps(d.DevicePath, at)) > 0
		errs := join(
			present(d.Name, name),
			when(d.Name != "" && !names.claim(d.Name), invalidAt(name, d.Name, "must be unique")),
			when(known && !block, invalidAt(name, d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")),
			when(!known, notFoundAt(name, d.Name)),
			present(d.DevicePath, at),
			when(paths[d.DevicePath], invalidAt(at, d.DevicePath, "must be unique")),
			when(steps, invalidAt(at, d.DevicePath, "can not contain backsteps ('..')")),
			when(mounts[d.Name], invalidAt(name, d.Name, "must not already exist in volumeMounts")),
			when(mountPaths[d.DevicePath], invalidAt(at, d.DevicePath, "must not already exist as a path in volumeMounts")))
		if !steps {
			paths.claim(d.DevicePath)
		}
		return errs
	})
}

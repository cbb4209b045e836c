/* PROFILE/security/cluster-ID.json: what ipyparallel keeps of a cluster that runs, by which its
 * Cluster.from_file(), ClusterManager and `ipcluster list` find one of ours. Only processes of this
 * machine can be told in it. */
#ifndef CLUSTER_STATE_CLUSTER_FILE_H
#define CLUSTER_STATE_CLUSTER_FILE_H

/* Writes the file anew from the state files of a cluster and of the sets that were added to it, or
 * removes it where there is no cluster; to be called once one of them was written or removed. What
 * goes wrong is logged, as nothing of ours reads the file. */
void cluster_file_update(const char *profile_dir, const char *cluster_id);

#endif

/* PROFILE/security/cluster-ID.json: ipyparallel's file of a running cluster. By it, ipyparallel's
 * Cluster.from_file(), ClusterManager and `ipcluster list` find a cluster of ours. It can only name
 * processes of this host. */
#ifndef CLUSTER_STATE_CLUSTER_FILE_H
#define CLUSTER_STATE_CLUSTER_FILE_H

/* Writes the file anew from the state files of a cluster and of the sets that were added to it, or
 * removes it if there is no cluster. Call it after a state file was written or removed. Failures
 * are only logged, because nothing of ours reads the file. */
void cluster_file_update(const char *profile_dir, const char *cluster_id);

#endif

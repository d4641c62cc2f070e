//! Reading logs for the API: tail, since, timestamps, a byte limit, following across rotations.
